"""How a task is trained: the keys under `training:` in its YAML.

Nothing here changes what a trained network says about a study, so nothing of it is part of a task's digest.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from pipelines.settings import Settings

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class LossSettings(Settings):
    """What is made small: a sum of terms, each with its weight; a weight of 0 leaves a term out.

    Cross-entropy and Dice in equal parts are nnU-Net's; `class_weights: [0.78, 0.65, 8.57]` without Dice is
    H-DenseUNet's; `entropy: 0.5` with `dice: 1` and sigmoids is UNet++'s.
    """

    entropy: NonNegativeFloat = Field(default=1.0, description="cross-entropy, of sigmoids where labels are free")
    dice: NonNegativeFloat = Field(default=1.0, description="1 - soft Dice of the labels, background left out")
    center_line: NonNegativeFloat = Field(default=0.0, description="clDice (Shit et al., CVPR 2021) of the labels")
    class_weights: tuple[NonNegativeFloat, ...] | None = Field(
        default=None, description="of cross-entropy, background first; for findings: of the positives, by label"
    )
    focus: NonNegativeFloat = Field(default=0.0, description="gamma of the focal loss (Lin et al., ICCV 2017); 0: none")
    smoothing: float = Field(default=0.0, ge=0.0, lt=1.0, description="of labels, in cross-entropy")
    dice_over: Literal["batch", "example"] = Field(
        default="example", description="batch: one Dice for all (nnU-Net); example: mean of one for each"
    )
    heads: Literal["equal", "halving"] = Field(
        default="equal", description="of several heads: all alike (UNet++), or half for each coarser one (nnU-Net)"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.entropy or self.dice or self.center_line):
            raise ValueError("expected a loss with a term; got weights of 0 only; set entropy or dice")
        return self


class OptimiserSettings(Settings):
    """What moves the weights."""

    kind: Literal["sgd", "adam", "adamw"] = "adamw"
    rate: PositiveFloat = Field(default=1e-3, description="highest learning rate")
    momentum: float = Field(default=0.99, ge=0.0, lt=1.0, description="Nesterov's, for sgd")
    weight_decay: NonNegativeFloat = Field(default=0.01, description="of tensors with two axes or more")
    clip: PositiveFloat | None = Field(default=12.0, description="largest norm of the gradient; null: any")


class ScheduleSettings(Settings):
    """How the learning rate runs from the first to the last step."""

    kind: Literal["one_cycle", "poly", "cosine", "plateau", "constant"] = "one_cycle"
    power: PositiveFloat = Field(default=0.9, description="of poly")
    warm_share: Share = Field(default=0.3, description="of one_cycle: share of the steps in which the rate rises")
    factor: float = Field(default=0.1, gt=0.0, lt=1.0, description="of plateau: what the rate is multiplied with")
    patience: PositiveInt = Field(default=5, description="of plateau: looks without a better figure before that")


class PlaceSettings(Settings):
    """Where patches lie: a share of them centred on a label, the rest anywhere."""

    label: str = Field(description="of the task's label set, or any")
    share: Share


class AugmentationSettings(Settings):
    """How a patch is changed at random. A range of one value, or a probability of 0, leaves a change out."""

    mirror: tuple[Literal["left_right", "up_down", "front_back"], ...] = Field(
        default=(), description="axes of the network's grid along which a half of the patches is mirrored"
    )
    rotation_deg: NonNegativeFloat = Field(default=15.0, description="largest turn within a slice, either way")
    tilt_deg: NonNegativeFloat = Field(default=0.0, description="largest turn out of the slice, in 3D")
    scale: tuple[PositiveFloat, PositiveFloat] = Field(default=(0.8, 1.25), description="magnification, log-uniform")
    shift: NonNegativeFloat = Field(default=0.05, description="largest shift of whole pictures, as a share of them")
    moved: Share = Field(default=0.5, description="probability of any turn, scale or shift at all")
    noise: NonNegativeFloat = Field(default=0.1, description="largest deviation, in deviations of the patch")
    blur_px: NonNegativeFloat = Field(default=1.0, description="largest sigma")
    brightness: NonNegativeFloat = Field(default=0.25, description="largest share the values grow or shrink by")
    contrast: NonNegativeFloat = Field(default=0.25, description="largest share the distances from the mean change by")
    gamma: NonNegativeFloat = Field(default=0.3, description="largest change of the exponent, as a log")
    coarse: Share = Field(default=0.0, description="largest share of the resolution that is taken away")
    inverted: Share = Field(default=0.0, description="probability of black and white exchanged")
    hue: NonNegativeFloat = Field(default=0.0, description="largest share by which one channel of a colour grows")
    each: Share = Field(default=0.2, description="probability of each change of the values")


class ValidationSettings(Settings):
    """What is held back, and how often it is looked at."""

    share: float = Field(default=0.2, ge=0.0, lt=1.0, description="of the patients, where the set has no split")
    every: PositiveInt = Field(default=250, description="steps between two looks")
    examples: PositiveInt = Field(default=64, description="patches, or views, at a look; all are scored at the end")
    patience: PositiveInt | None = Field(default=None, description="looks without a better figure that end training")
    keep: Literal["best", "last"] = Field(
        default="last", description="which weights are kept: those of the best look, or the last ones"
    )


class TeacherSettings(Settings):
    """A trained network whose answers are learnt beside the truth (Hinton et al., 2015)."""

    config: str = Field(description="task the teacher was trained for, by name or file; it sees the same pixels")
    weights: str = Field(description="name of shipped weights or path of a file")
    weight: PositiveFloat = Field(default=0.5, description="of the teacher's answers, the truth having 1")
    temperature: PositiveFloat = Field(default=2.0, description="that softens both answers")


class StageSettings(Settings):
    """One of several trainings in a row, each from the weights of the one before."""

    network: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="keys of the network that differ in this stage: stage: volume"
    )
    steps: PositiveInt
    rate: PositiveFloat | None = Field(default=None, description="highest learning rate; null: the optimiser's")


class TrainingSettings(Settings):
    """How a task is trained."""

    steps: PositiveInt = Field(default=10_000, description="optimiser steps; stages have their own")
    batch: PositiveInt = Field(default=2, description="patches, or views, per step and device")
    patch: tuple[PositiveInt, ...] | None = Field(
        default=None, description="(H, W) or (D, H, W) on the network's grid; null: whole pictures"
    )
    places: tuple[PlaceSettings, ...] = Field(
        default=(PlaceSettings(label="any", share=0.33),),
        description="where patches lie; a third on any label is nnU-Net's",
    )
    balance: Share = Field(
        default=1.0, description="in drawing kinds of pictures, or classes: 1 by their share, 0 all alike"
    )
    loss: LossSettings = LossSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    averaged_steps: NonNegativeInt = Field(
        default=0, description="how many of the last steps the averaged weights remember; 0: no averaging"
    )
    augmentation: AugmentationSettings = AugmentationSettings()
    validation: ValidationSettings = ValidationSettings()
    teacher: TeacherSettings | None = None
    stages: tuple[StageSettings, ...] = ()
    start: str | None = Field(default=None, description="weights to start from, name or file; null: random ones")
    checkpoint_s: PositiveFloat = Field(default=120.0, description="seconds between states that can be resumed from")
    checkpoint_steps: PositiveInt | None = Field(default=None, description="the same in steps; null: by seconds alone")
    workers: NonNegativeInt = Field(default=1, description="threads that cut and change patches ahead of the network")
    labels: dict[str, str] = Field(
        default_factory=dict, description="what the data calls a label, and what the task does, where they differ"
    )
    layout: str | None = Field(default=None, description="module of datasets.layouts; null: whichever knows the data")
    logger: tuple[Literal["csv", "tensorboard", "mlflow"], ...] = ("csv", "tensorboard")

    @model_validator(mode="after")
    def _places_add_up(self) -> Self:
        total = sum(place.share for place in self.places)
        if total > 1.0 + 1e-9:
            raise ValueError(f"expected shares of places up to 1 together; got {total:g}; lower one")
        if self.patch is not None and len(self.patch) not in (2, 3):
            raise ValueError(f"expected a patch of (H, W) or (D, H, W); got {list(self.patch)}; correct it")
        return self
