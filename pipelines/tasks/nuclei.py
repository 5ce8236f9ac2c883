"""Nuclei in micrographs, as a mask and one by one.

A network in the manner of UNet++ (Zhou et al., DLMIA 2018) says of every pixel whether it is background, the interior
or the border of a nucleus. Interior and border together are the mask; the interiors are where watershed starts that
tells nuclei apart which touch. Pictures are brought between their own black and white (`pipelines.micrographs`) and
looked at pixel by pixel as they are: nothing is resampled.
"""

import math
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import InputRefused
from datasets.image import Image, Intensity
from datasets.labels import CodedConcept, Label, LabelSet
from pipelines.examination import Compute, Interpretation, Network, Prediction
from pipelines.image_task import ImageTask
from pipelines.instances import Instances, areas_px, drop_small, split_objects
from pipelines.lesions import stream_flags
from pipelines.micrographs import CHANNELS, scaled_micrograph
from pipelines.nuclei_augmentation import classes_of
from pipelines.nuclei_files import picture_files, probability_file
from pipelines.nuclei_measurements import PixelArea, measure_nuclei
from pipelines.results import Finding, FlagCode, QualityFlag, flag
from pipelines.settings import Settings
from pipelines.sliding_window import LogitStream, StreamOptions
from pipelines.tensors import as_tensor, image_of
from pipelines.windows import WindowSettings

NUCLEUS = LabelSet(
    (
        Label(
            1,
            "nucleus",
            (65, 105, 225),
            CodedConcept("84640000", "SCT", "Nucleus"),
            CodedConcept("123037004", "SCT", "Anatomical Structure"),
        ),
    )
)
MOST_NUCLEI = 65535
_NAME = NUCLEUS.names[0]
# Labels of a prediction, before nuclei are told apart: where seeds may lie, and what else belongs to a nucleus.
_CORE, _RIM = 1, 2
_FULL = 255.0
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]


class Windows(Settings):
    """How a large picture is cut; a smaller one is one window."""

    size: tuple[PositiveInt, PositiveInt] = Field(default=(512, 512), description="(H, W) in pixels, at most")
    overlap: float = Field(default=0.25, ge=0.0, lt=1.0)
    batch: int = Field(default=1, ge=1, description="windows per call of the network")


class TrainingRange(Settings):
    """What the weights have seen; outside of it a result is flagged, not refused."""

    median_area_px: tuple[float, float] = Field(default=(40.0, 3000.0), description="of the nuclei of a picture")


class Nuclei(ImageTask):
    """Settings and steps of the nuclei task."""

    label_set: ClassVar[LabelSet] = NUCLEUS

    kind: Literal["nuclei"] = "nuclei"
    modalities: tuple[str, ...] = ("SM", "GM", "XC", "OT")
    mpp: PositiveFloat | None = Field(default=None, description="um per pixel; null: as the file says, or unknown")
    windows: Windows = Windows()
    threshold: Probability = Field(default=0.5, description="of the probability of any part of a nucleus")
    core_threshold: Probability = Field(default=0.5, description="of the probability of an interior, where seeds lie")
    waist_px: PositiveFloat = Field(default=1.0, description="how much narrower the way between two seeds must be")
    min_area_px: int = Field(default=12, ge=1, description="smaller objects are no nuclei, where um are unknown")
    min_area_um2: PositiveFloat | None = Field(default=None, description="the same where um are known; null: in pixels")
    trained_on: TrainingRange = TrainingRange()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        network = self.network
        if network.name == "densenet" or network.spatial_dims != 2:
            raise ValueError(f"expected a 2D network that labels pixels; got {network.name}; set network")
        if network.in_channels != CHANNELS:
            raise ValueError(f"expected network.in_channels {CHANNELS}; got {network.in_channels}; correct it")
        if network.out_channels not in (1, 2, 3):
            wanted = "1 (nucleus), 2 (background, nucleus) or 3 (background, interior, border) network.out_channels"
            raise ValueError(f"expected {wanted}; got {network.out_channels}; correct it")
        return self

    @property
    def channels(self) -> int:
        """Grey pictures are given three times."""
        return CHANNELS

    def wanted(self, truth: NDArray[np.integer]) -> NDArray[np.integer]:
        """Background, interior and border of numbered nuclei; nucleus or not for networks of fewer classes."""
        if self.network.out_channels < len(NUCLEUS.labels) + 2:
            return (truth > 0).astype(np.uint8)
        return np.stack([classes_of(plane) for plane in truth])

    @property
    def learnt_classes(self) -> tuple[str, ...]:
        """Background, interior and border, or background and nucleus for networks of fewer classes."""
        if self.network.out_channels < len(NUCLEUS.labels) + 2:
            return super().learnt_classes
        return ("background", "interior", "border")

    def preprocess(self, image: Image) -> Image:
        """Bring a micrograph between its own black and white, in three channels.

        Returns:
            float32 in [0, 1] on the picture's own pixels.

        Raises:
            InputRefused: It is no single picture in grey or colour (`unsupported_dimensions`), or holds values that are
                no numbers (`not_finite`).
        """
        if image.shape[2] != 1 or image.channels not in (1, CHANNELS):
            raise InputRefused(
                RefusalCode.UNSUPPORTED_DIMENSIONS,
                "one picture, in grey or in colour",
                f"{image.shape[2]} pictures of {image.channels} channels",
                "hand in one plane; of several stains the one that shows nuclei",
            )
        if not np.isfinite(image.array).all():
            raise InputRefused(RefusalCode.NOT_FINITE, "finite values", "NaN or infinity", "check how it was exported")
        return Image(scaled_micrograph(image.array), Intensity.COLOUR, image.affine)

    def infer(self, network: Network, prepared: Image, image: Image, compute: Compute) -> Prediction:
        """Labels: 1 where seeds may lie, 2 elsewhere in a nucleus; and the probability of any part of a nucleus."""
        volume = as_tensor(prepared)
        options = StreamOptions(device=torch.device(compute.device), precision=compute.precision)
        stream = LogitStream(
            volume, network, self._window_settings(volume), classes=self.network.out_channels, options=options
        )
        (slab,) = list(stream)
        nucleus, core = probabilities_of(slab.logits)
        inside = nucleus >= self.threshold
        labels = inside.to(torch.uint8).mul_(_RIM)
        labels[inside & (core >= self.core_threshold)] = _CORE
        sure = nucleus.mul(_FULL).round_().to(torch.uint8)
        return Prediction(
            image_of(labels[None].cpu(), Intensity.LABEL, image.affine),
            image_of(sure[None].cpu(), Intensity.PROBABILITY, image.affine),
            stream_flags(stream.statistics),
        )

    def interpret(self, prediction: Prediction, image: Image) -> Interpretation:
        """Tell nuclei apart, drop what is too small, count and measure.

        Raises:
            InputRefused: There are more nuclei than their picture has numbers for (`unsupported_dimensions`).
        """
        area = PixelArea.of(image, self.mpp)
        nuclei = self.nuclei(prediction, image)
        count = int(nuclei.max())
        if count > MOST_NUCLEI:
            raise InputRefused(
                RefusalCode.UNSUPPORTED_DIMENSIONS,
                f"at most {MOST_NUCLEI} nuclei in a picture",
                f"{count}",
                "cut the picture into parts",
            )
        mask, sure = (nuclei > 0).astype(np.uint8), _probability(prediction)
        files = picture_files(mask, nuclei.astype(np.uint16), alone=image.affine is None)
        if self.output.probability and image.affine is None:
            # Where the spacing is known it is written as a volume, like that of other tasks.
            files = (*files, probability_file(sure))
        return Interpretation(
            labels=Image.from_slices(mask[np.newaxis], Intensity.LABEL, image.affine),
            findings=(self._finding(nuclei, sure),),
            quantities=measure_nuclei(nuclei, area, _NAME),
            flags=(*self._stated(image), *self._flags(nuclei)),
            files=files,
            instances=Image.from_slices(nuclei.astype(np.uint16)[np.newaxis], Intensity.LABEL, image.affine),
        )

    def nuclei(self, prediction: Prediction, image: Image) -> Instances:
        """The nuclei of a prediction one by one: (H, W), numbered 1, 2, 3 … row by row, 0 elsewhere."""
        labels = prediction.labels.slices()[0]
        split = split_objects(labels > 0, labels == _CORE, waist_px=self.waist_px)
        return drop_small(split, self._fewest_px(PixelArea.of(image, self.mpp)))

    def _window_settings(self, volume: Tensor) -> WindowSettings:
        height, width = (min(extent, most) for extent, most in zip(volume.shape[2:], self.windows.size, strict=True))
        return WindowSettings(size=(height, width), overlap=self.windows.overlap, batch=self.windows.batch)

    def _fewest_px(self, area: PixelArea) -> int:
        if area.um2 is None or self.min_area_um2 is None:
            return self.min_area_px
        return max(1, math.ceil(self.min_area_um2 / area.um2 - 1e-6))

    def _finding(self, nuclei: Instances, sure: NDArray[np.uint8]) -> Finding:
        """Whether there are nuclei: the mean probability of their pixels, or else the highest in the picture."""
        found = sure[nuclei > 0]
        probability = float(found.mean()) if found.size else float(sure.max())
        return Finding(
            label=_NAME,
            probability=round(probability / _FULL, 4),
            threshold=self.threshold,
            positive=bool(found.size),
            calibrated=False,
        )

    def _stated(self, image: Image) -> tuple[QualityFlag, ...]:
        if self.mpp is None:
            return ()
        said = "does not say" if image.affine is None else "says otherwise or the same"
        message = f"{self.mpp:g} um per pixel were stated; the file {said}"
        return (QualityFlag.of_repair(Repair(RepairCode.MPP_STATED, message)),)

    def _flags(self, nuclei: Instances) -> tuple[QualityFlag, ...]:
        sizes = areas_px(nuclei)
        if sizes.size == 0:
            return (flag(FlagCode.EMPTY_RESULT, "warning", "no nucleus was found in this picture"),)
        low, high = self.trained_on.median_area_px
        median = float(np.median(sizes))
        if low <= median <= high:
            return ()
        message = f"nuclei of {median:.0f} pixels (trained on {low:g} to {high:g}): reduce or enlarge the picture"
        return (flag(FlagCode.OUTSIDE_TRAINING_RANGE, "warning", message),)


TASK = Nuclei


def probabilities_of(logits: Tensor) -> tuple[Tensor, Tensor]:
    """How probable it is that a pixel belongs to a nucleus at all, and to its interior.

    Args:
        logits: (classes, 1, H, W): of a nucleus alone (sigmoid), of background and nucleus, or of background, interior
            and border.

    Returns:
        Two of (1, H, W); the same where the network knows no borders.
    """
    if logits.shape[0] == 1:
        nucleus = torch.sigmoid(logits[0])
        return nucleus, nucleus
    shares = torch.softmax(logits, dim=0)
    return shares[1:].sum(dim=0), shares[1]


def _probability(prediction: Prediction) -> NDArray[np.uint8]:
    """(H, W) in 1/255."""
    if prediction.probabilities is None:
        raise ValueError("expected a prediction with probabilities, as infer gives it; got none")
    return np.ascontiguousarray(prediction.probabilities.slices()[0])
