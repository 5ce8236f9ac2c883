"""Liver and liver tumours on CT.

Preparation and losses follow H-DenseUNet (Li et al., IEEE TMI 2018): HU clipped to [-200, 250], 48 subtracted. What
differs from the authors' code, and why: the liver is p(liver) + p(tumour), not p(liver) alone, which left holes where
the two are close; every slice is predicted, the first and the last too; no mask from another network is needed.
"""

import math
from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.array import ScaleIntensityRange
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from datasets.box import bounding_box
from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.geometry import Grid
from datasets.image import Image, Intensity
from datasets.labels import LIVER_AND_TUMOR, LabelSet
from datasets.resampling import reorient
from pipelines.examination import Compute, Interpretation, Network, Prediction
from pipelines.image_task import ImageTask
from pipelines.lesions import HOUNSFIELD_UCUM, measure_lesion, organ_flags, stream_flags
from pipelines.localise_settings import Localisation, LocaliseSettings, slice_context
from pipelines.measurements import centroid_mm, mean_value, volume_ml
from pipelines.regions import Mask, components_by_size, fill_holes, largest_component
from pipelines.resample import grid_mapping, labels_back, resample
from pipelines.results import Finding, FlagCode, Location, QualityFlag, Quantity, flag
from pipelines.settings import Settings
from pipelines.slabs import LabelSlab, Slab, decide_labels
from pipelines.slice_stream import logit_stream
from pipelines.sliding_window import StreamOptions, air_below
from pipelines.tensors import as_tensor, image_of
from pipelines.windows import WindowSettings

# Networks see the patient lying as radiologists do: i to the Left, j to Posterior, slices from feet to head.
CANONICAL = "LPS"
_LIVER, _TUMOR = LIVER_AND_TUMOR["liver"], LIVER_AND_TUMOR["liver_tumor"]
# Probabilities are kept in a byte.
_FULL = 255.0
_FIRST_VOXEL = (slice(0, 1), slice(0, 1), slice(0, 1))
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]


class Windows(Settings):
    """How the volume is cut; sizes count voxels after resampling, null takes the whole extent."""

    size: tuple[PositiveInt | None, ...] = Field(
        default=(None, None), description="(H, W) for 2D networks, (D, H, W) for 3D"
    )
    overlap: float = Field(default=0.5, ge=0.0, lt=1.0)
    batch: int = Field(default=4, ge=1, description="windows, or slices, per call of the network")


class TrainingRange(Settings):
    """What the weights have seen; outside of it a result is flagged, not refused."""

    slice_spacing_mm: tuple[float, float] = (0.5, 6.0)
    in_plane_spacing_mm: tuple[float, float] = (0.4, 1.6)


class LiverCt(ImageTask):
    """Settings and steps of the liver CT task."""

    label_set: ClassVar[LabelSet] = LIVER_AND_TUMOR

    kind: Literal["liver_ct"] = "liver_ct"
    modalities: tuple[str, ...] = ("CT",)
    min_images: int = Field(default=2, ge=1)
    window_hu: tuple[float, float] = Field(default=(-200.0, 250.0), description="clipped to (H-DenseUNet)")
    mean_hu: float = Field(default=48.0, description="subtracted after clipping (H-DenseUNet)")
    spacing_mm: tuple[PositiveFloat | None, PositiveFloat | None, PositiveFloat | None] = Field(
        default=(None, None, None), description="along left, posterior, superior; null keeps the scan's own"
    )
    windows: Windows = Windows()
    skip_air: bool = Field(default=True, description="do not run the network where everything is air")
    liver_threshold: Probability = Field(default=0.5, description="of p(liver) + p(tumour)")
    tumor_threshold: Probability = Field(default=0.5, description="of p(tumour); the authors' code uses 0.9")
    min_tumor_ml: float = Field(default=0.03, ge=0.0, description="smaller regions are not called tumours")
    trained_on: TrainingRange = TrainingRange()
    localise: LocaliseSettings | None = Field(default=None, description="a coarse look first; null: search everything")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        network, axes = self.network, len(self.windows.size)
        if network.name == "densenet":
            raise ValueError("expected a network that labels voxels; got the classifier densenet; set network.name")
        if network.out_channels != self.label_set.classes:
            got = f"network.out_channels {network.out_channels}"
            raise ValueError(f"expected {self.label_set.classes} classes, background included; got {got}; correct it")
        if axes != network.spatial_dims:
            raise ValueError(f"expected {network.spatial_dims} numbers, the network's axes; got windows.size of {axes}")
        slice_context(network)
        if network.name == "h_dense_unet" and not network.takes_windows(self.windows.size):
            wanted = f"windows.size [depth, null, null], the depth a multiple of {network.depth_divisor}"
            raise ValueError(f"expected {wanted}; got {list(self.windows.size)}; [8, null, null] is the authors'")
        if self.window_hu[0] >= self.window_hu[1]:
            raise ValueError(f"expected window_hu to rise; got {self.window_hu}; swap its ends")
        return self

    def localisation(self) -> Localisation | None:
        """The coarse look, prepared as the close one but for the spacing."""
        if self.localise is None:
            return None
        return Localisation(self.localise, self.model_copy(update={"spacing_mm": self.localise.spacing_mm}).preprocess)

    def preprocess(self, image: Image) -> Image:
        """Reorient to LPS, resample where the settings ask for it, clip to the HU window and subtract the mean.

        Returns:
            float32 on the network's grid.

        Raises:
            InputRefused: The spacing is unknown (`no_spacing`).
        """
        if image.affine is None:
            got = f"an image {image.shape} without one"
            raise InputRefused(RefusalCode.NO_SPACING, "a spacing in mm", got, "score the scan it was made from")
        canonical = reorient(image, CANONICAL)
        volume = as_tensor(canonical)
        grid = canonical.grid
        if any(self.spacing_mm):
            grid = grid.with_spacing(self.spacing_mm)
            mapping = grid_mapping(canonical.grid.affine, grid.affine)
            volume = resample(volume, _zyx(grid), mapping)
        return image_of(self.transforms()(volume.float()), Intensity.GREY, grid.affine)

    def transforms(self) -> Compose:
        """The transforms of intensity, as a bundle exports them: HU (C, D, H, W) to what the network takes."""
        low, high = self.window_hu
        return Compose(
            [ScaleIntensityRange(low, high, low - self.mean_hu, high - self.mean_hu, clip=True, dtype=np.float32)]
        )

    def infer(self, network: Network, prepared: Image, image: Image, compute: Compute) -> Prediction:
        """Probabilities as a stream of slabs; labels are decided on the image's own grid.

        Probabilities travel between the grids, not logits; `docs/decisions` 0006 says why, and what was measured.
        """
        canonical = reorient(image, CANONICAL).grid
        threshold = self.window_hu[0] - self.mean_hu + 1.0
        stream = logit_stream(
            as_tensor(prepared),
            network,
            self._window_settings(),
            classes=self.label_set.classes,
            options=StreamOptions(
                skip=air_below(threshold) if self.skip_air else None,
                device=torch.device(compute.device),
                precision=compute.precision,
            ),
        )
        sure = (Slab(slab.start, slab.stop, torch.softmax(slab.logits, dim=0)) for slab in stream)
        slabs: Iterable[LabelSlab]
        if prepared.grid.matches(canonical):
            slabs = decide_labels(sure, self._decide, probabilities=_foreground)
        else:
            mapping = grid_mapping(prepared.grid.affine, canonical.affine)
            slabs = labels_back(
                sure, _zyx(prepared.grid), _zyx(canonical), mapping, decide=self._decide, probabilities=_foreground
            )
        labels, probabilities = _collect(slabs, _zyx(canonical), len(self.label_set.labels))
        back = image.grid.orientation
        return Prediction(
            reorient(image_of(labels, Intensity.LABEL, canonical.affine), back),
            reorient(image_of(probabilities, Intensity.PROBABILITY, canonical.affine), back),
            stream_flags(stream.statistics),
        )

    def interpret(self, prediction: Prediction, image: Image) -> Interpretation:
        """Clean the label map and measure what it holds.

        The liver is its largest connected region with its holes filled; tumours lie inside it.
        """
        labels = reorient(prediction.labels, CANONICAL)
        values = reorient(image, CANONICAL).array[0]
        liver, dropped = largest_component(labels.array[0] > 0)
        liver = fill_holes(liver)
        flags = (*organ_flags(liver, dropped, "liver"), *self._range_flags(labels.grid, values))
        # From here on only the box around the liver is looked at: on a long scan a tenth of it.
        box = bounding_box(liver) or _FIRST_VOXEL
        grid, liver, values = labels.grid.cropped(box), liver[box], values[box]
        fewest = max(1, math.ceil(self.min_tumor_ml / grid.voxel_volume_ml - 1e-6))
        tumors, count = components_by_size((labels.array[0][box] == _TUMOR.index) & liver, fewest)
        attenuation = mean_value(liver & (tumors == 0), values)
        quantities = (
            Quantity(name="volume", label=_LIVER.name, value=volume_ml(liver, grid), unit="ml"),
            Quantity(name="mean_attenuation", label=_LIVER.name, value=attenuation, unit=HOUNSFIELD_UCUM),
            Quantity(name="burden", label=_TUMOR.name, value=volume_ml(tumors > 0, grid), unit="ml"),
            Quantity(name="count", label=_TUMOR.name, value=float(count), unit="1"),
        )
        p_tumor = _tumor_probability(prediction)[box]
        if count:
            findings = tuple(
                self._finding(tumors == number, values, p_tumor, grid, number) for number in range(1, count + 1)
            )
        else:
            findings = (self._nothing_found(float(p_tumor.max(where=liver, initial=0)) / _FULL),)
        final = np.zeros(labels.shape[::-1], dtype=np.uint8).transpose(2, 1, 0)
        final[box] = np.where(tumors > 0, np.uint8(_TUMOR.index), liver.astype(np.uint8))
        on_input = Image(final[np.newaxis], Intensity.LABEL, labels.affine)
        return Interpretation(reorient(on_input, image.grid.orientation), findings, quantities, flags)

    def _window_settings(self) -> WindowSettings:
        return WindowSettings(
            size=self.windows.size,
            overlap=self.windows.overlap,
            batch=self.windows.batch,
            padding_value=self.window_hu[0] - self.mean_hu,
            context=slice_context(self.network),
        )

    def _decide(self, probabilities: Tensor) -> Tensor:
        """(3, D, H, W) probabilities, the background's first, to labels (D, H, W) uint8."""
        probabilities = _foreground(probabilities)
        liver = probabilities.sum(0) >= self.liver_threshold
        tumor = (probabilities[1] >= self.tumor_threshold) & liver
        return liver.to(torch.uint8) + tumor.to(torch.uint8)

    def _finding(
        self, mask: Mask, values: NDArray[np.generic], p_tumor: NDArray[np.uint8], grid: Grid, number: int
    ) -> Finding:
        centroid = centroid_mm(mask, grid)
        return Finding(
            label=_TUMOR.name,
            probability=round((mean_value(mask, p_tumor) or 0.0) / _FULL, 4),
            threshold=self.tumor_threshold,
            positive=True,
            calibrated=False,
            location=Location(centroid_mm=centroid, component=number) if centroid is not None else None,
            quantities=measure_lesion(mask, values, grid),
        )

    def _nothing_found(self, highest: float) -> Finding:
        return Finding(
            label=_TUMOR.name,
            probability=round(highest, 4),
            threshold=self.tumor_threshold,
            positive=False,
            calibrated=False,
        )

    def _range_flags(self, grid: Grid, values: NDArray[np.generic]) -> tuple[QualityFlag, ...]:
        seen = []
        low, high = self.trained_on.slice_spacing_mm
        if not low <= grid.spacing_mm[2] <= high:
            seen.append(f"slices {grid.spacing_mm[2]:.2f} mm apart (trained on {low:g} to {high:g})")
        low, high = self.trained_on.in_plane_spacing_mm
        if not low <= max(grid.spacing_mm[:2]) <= high:
            seen.append(f"pixels of {max(grid.spacing_mm[:2]):.2f} mm (trained on {low:g} to {high:g})")
        # A CT of a patient shows air and soft tissue; an image without either is no CT in Hounsfield units.
        if float(values.min()) > -300.0 or float(values.max()) < 100.0:
            seen.append(f"values from {float(values.min()):.0f} to {float(values.max()):.0f}, unlike a CT in HU")
        message = "; ".join(seen)
        return (flag(FlagCode.OUTSIDE_TRAINING_RANGE, "warning", message),) if seen else ()


TASK = LiverCt


def _zyx(grid: Grid) -> tuple[int, int, int]:
    return grid.shape[2], grid.shape[1], grid.shape[0]


def _foreground(probabilities: Tensor) -> Tensor:
    """Probabilities of the labels, without the background's: (classes, …) to (classes - 1, …)."""
    return probabilities[1:]


def _collect(slabs: Iterable[LabelSlab], shape: tuple[int, int, int], channels: int) -> tuple[Tensor, Tensor]:
    """Labels (1, D, H, W) and probabilities (channels, D, H, W) in 1/255, both uint8."""
    labels = torch.zeros((1, *shape), dtype=torch.uint8)
    probabilities = torch.zeros((channels, *shape), dtype=torch.uint8)
    for slab in slabs:
        labels[0, slab.start : slab.stop] = slab.labels
        if slab.probabilities is not None:
            probabilities[:, slab.start : slab.stop] = slab.probabilities.mul(_FULL).round_().to(torch.uint8)
    return labels, probabilities


def _tumor_probability(prediction: Prediction) -> NDArray[np.uint8]:
    """(I, J, K) in LPS order, in 1/255."""
    if prediction.probabilities is None:
        raise ValueError("expected a prediction with probabilities, as infer gives it; got none")
    probability: NDArray[np.uint8] = reorient(prediction.probabilities, CANONICAL).array[_TUMOR.index - 1]
    return probability
