"""One answer for a whole volume: a 3D DenseNet on CT or MR, one sequence or several registered ones as channels.

Made for the likes of mortality after subarachnoid haemorrhage on CT (DenseNet-121, after AUCMEDI's classifiers) and of
a glioblastoma's response on T1, T2 and FLAIR (DenseNet-264 on LUMIERE); which it is, the YAML says.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from datasets.codes import RefusalCode, Repair
from datasets.errors import InputRefused
from datasets.geometry import Grid, grid_from_axes
from datasets.image import Image, Intensity
from datasets.io.study_names import named_apart
from datasets.resampling import reorient
from datasets.study import Loaded, Series, Study
from pipelines.classifier_task import ClassifierTask, View
from pipelines.examination import Chosen, Clock
from pipelines.input_scale import on_scale
from pipelines.resample import grid_mapping, resample
from pipelines.settings import Settings
from pipelines.tensors import as_tensor, image_of

# Networks see the patient lying as radiologists do: i to the Left, j to Posterior, slices from feet to head.
_CANONICAL = "LPS"
# Of what is not air or nothing: the hundredths that are neither noise nor vessels (nnU-Net clips CT so, too).
_TAILS = (0.5, 99.5)


class SequenceSettings(Settings):
    """One of several sequences, and how it is told from the others."""

    name: str = Field(description="of the channel")
    pattern: str | None = Field(default=None, description="regular expression in the DICOM series description")
    suffix: str | None = Field(default=None, description="end of the name of a NIfTI file: case7_t1.nii.gz has _t1")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"expected a regular expression; got {pattern!r}: {error}; correct it") from error
        return pattern

    @model_validator(mode="after")
    def _can_be_told(self) -> Self:
        if not self.pattern and not self.suffix:
            raise ValueError(f"expected a pattern or a suffix of {self.name}; got neither; give one")
        return self

    def names(self, series: Series) -> bool:
        """Whether a series is this sequence."""
        if self.suffix and not series.modality and series.uid.endswith(self.suffix):
            return True
        return bool(self.pattern and series.modality and re.search(self.pattern, series.name, re.IGNORECASE))


class VolumeClassification(ClassifierTask):
    """Settings and steps of tasks on whole volumes."""

    kind: Literal["volume_classification"] = "volume_classification"
    min_images: int = Field(default=2, ge=1)
    sequences: tuple[SequenceSettings, ...] = Field(default=(), description="channels; none: one series, by rule")
    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Field(
        default=(1.0, 1.0, 2.0), description="of the network's grid, along left, posterior, superior"
    )
    size: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(64, 192, 192), description="voxels (D, H, W) around the middle of the volume; what is missing is black"
    )
    scale: Literal["window", "standardise"] = Field(
        default="window",
        description="window: HU from low to high of the input are shown, black to white, and scaled as it says; "
        "standardise: every channel minus its mean, over its deviation, where there is signal",
    )

    @model_validator(mode="after")
    def _volumes(self) -> Self:
        if self.network.spatial_dims != 3:
            raise ValueError("expected a network of three dimensions; got two; set network.spatial_dims: 3")
        if self.sequences and len(self.sequences) != self.network.in_channels:
            got = f"{len(self.sequences)} for {self.network.in_channels}"
            raise ValueError(f"expected as many sequences as network.in_channels; got {got}; correct one of them")
        if not self.sequences and self.network.in_channels != 1:
            got = f"{self.network.in_channels} channels and no sequences"
            raise ValueError(f"expected sequences that name the channels; got {got}; name them")
        return self

    def gather(self, studies: Sequence[Study]) -> tuple[Study, ...]:
        """NIfTI files of one case, told by their endings, become one study, in the place of the first."""
        cases: dict[tuple[str, str], list[Study]] = {}
        for study in studies:
            cases.setdefault(self._case(study), []).append(study)
        together = [some[0] if len(some) == 1 else _joined(name, some) for (_, name), some in cases.items()]
        return named_apart(together)

    def choose(self, study: Study) -> Chosen:
        """The series of every sequence, in the order of the channels.

        Raises:
            InputRefused: One is not there or cannot be told apart (`missing_sequence`), or nothing can be used.
        """
        if not self.sequences:
            return super().choose(study)
        if study.refusal is not None:
            raise study.refusal
        return Chosen(tuple(self._series(study, wanted) for wanted in self.sequences))

    def views(self, chosen: Chosen, clock: Clock) -> list[View]:
        """One view: all sequences at once.

        Raises:
            InputRefused: They do not share a grid (`different_grids`), or cannot be read.
        """
        with clock.measure("load"):
            loaded = [series.load() for series in chosen.series]
        images = [one.image for one in loaded]
        with clock.measure("preprocess"):
            prepared = self.preprocess(images)
        return [
            View(
                source=" ".join(series.uid for series in chosen.series),
                prepared=prepared,
                image=images[0],
                dicom=loaded[0].source,
                further=tuple(one.source for one in loaded[1:] if one.source is not None),
                repairs=_once(loaded),
            )
        ]

    def preprocess(self, images: Sequence[Image]) -> Image:
        """Sequences as the network takes them; the same for training and every door.

        Args:
            images: One of one channel for each of the network's channels, on one grid in mm.

        Returns:
            float32 (channels, W, H, D) on the network's grid.

        Raises:
            InputRefused: The spacing is unknown, a sequence has several channels, or their grids differ.
        """
        _check(images)
        canonical = [reorient(image, _CANONICAL) for image in images]
        source = canonical[0].grid
        target = self._grid(source)
        mapping = grid_mapping(source.affine, target.affine)
        planes = []
        for image in canonical:
            values = self._scaled(image.array[0].astype(np.float32))
            volume = as_tensor(Image(values[np.newaxis], Intensity.GREY, source.affine))
            planes.append(resample(volume, self.size, mapping, fill=float(values.min()))[0])
        stacked = torch.stack(planes)  # (C, D, H, W)
        if self.scale == "window":
            stacked = on_scale(stacked[np.newaxis], self.expected)[0]
        return image_of(stacked, Intensity.GREY, target.affine)

    def _scaled(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.scale == "window":
            low, high = self.expected.low, self.expected.high
            return np.asarray(np.clip((values - low) / (high - low), 0.0, 1.0), dtype=np.float32)
        signal = values[values > values.min()]
        if not signal.size:
            return np.zeros_like(values)
        low, high = np.percentile(signal, _TAILS)
        clipped = np.clip(values, low, high)
        inside = np.clip(signal, low, high)
        scaled = (clipped - inside.mean()) / max(float(inside.std()), 1e-6)
        return np.asarray(scaled, dtype=np.float32)

    def _grid(self, source: Grid) -> Grid:
        """The network's grid, around the middle of the volume and along its axes."""
        shape = (self.size[2], self.size[1], self.size[0])
        middle = source.points_mm((np.asarray(source.shape) - 1) / 2)
        steps = source.direction * np.asarray(self.spacing_mm)
        origin = middle - steps @ ((np.asarray(shape) - 1) / 2)
        return grid_from_axes(shape, self.spacing_mm, source.direction, origin)

    def _case(self, study: Study) -> tuple[str, str]:
        """The folder and the name of the case a study belongs to; the study itself where it is a case of its own."""
        if len(study.series) == 1 and not study.series[0].modality:
            name = study.series[0].uid
            for wanted in self.sequences:
                if wanted.suffix and name.endswith(wanted.suffix) and len(name) > len(wanted.suffix):
                    folder = PurePosixPath(study.source.replace("\\", "/")).parent
                    return str(folder), name.removesuffix(wanted.suffix)
        return f"study {study.uid}", study.uid

    def _series(self, study: Study, wanted: SequenceSettings) -> Series:
        candidates = [one for one in study.series if wanted.names(one) and one.images >= self.min_images]
        usable = [one for one in candidates if one.refusal is None]
        if len(usable) == 1:
            return usable[0]
        if not usable and candidates and candidates[0].refusal is not None:
            raise candidates[0].refusal
        raise InputRefused(
            RefusalCode.MISSING_SEQUENCE,
            f"one series that is {wanted.name} (pattern {wanted.pattern!r}, suffix {wanted.suffix!r})",
            f"{len(usable)} among {len(study.series)} in {study.source}",
            "correct sequences in the YAML, or complete the study",
        )


TASK = VolumeClassification


def _check(images: Sequence[Image]) -> None:
    for image in images:
        if image.affine is None:
            got = f"an image {image.shape} without one"
            raise InputRefused(RefusalCode.NO_SPACING, "a spacing in mm", got, "score the scan it was made from")
        if image.channels != 1:
            got = f"{image.channels} in one file"
            raise InputRefused(RefusalCode.UNSUPPORTED_DIMENSIONS, "one channel a sequence", got, "split the file")
        if not image.grid.matches(images[0].grid):
            first, other = images[0].grid, image.grid
            raise InputRefused(
                RefusalCode.DIFFERENT_GRIDS,
                "sequences on one grid",
                f"{first.shape} voxels of {_spacing(first)} mm and {other.shape} of {_spacing(other)} mm, or elsewhere",
                "register and resample them to one of them first",
            )


def _spacing(grid: Grid) -> str:
    return " x ".join(f"{step:.3g}" for step in grid.spacing_mm)


def _joined(name: str, parts: Sequence[Study]) -> Study:
    """Several files as one study."""
    folder = PurePosixPath(parts[0].source.replace("\\", "/")).parent
    repairs = tuple(dict.fromkeys(repair for part in parts for repair in part.repairs))
    series = tuple(one for part in parts for one in part.series)
    return replace(parts[0], uid=name, source=str(folder / name), series=series, repairs=repairs)


def _once(loaded: Sequence[Loaded]) -> tuple[Repair, ...]:
    return tuple(dict.fromkeys(repair for one in loaded for repair in one.repairs))
