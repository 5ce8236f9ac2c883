"""What a study is: identity without a patient's name, and pixels on demand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.dicom_source import DicomSource
from datasets.errors import InputRefused
from datasets.geometry import Grid
from datasets.image import Image

if TYPE_CHECKING:
    from datasets.io.patch_stack import PatchStack
    from datasets.slide import Slide

Projection = Literal["", "frontal", "lateral"]


@dataclass(frozen=True)
class Loaded:
    """The pixels of a series, and what was done to get them.

    Attributes:
        image: The pixels on their grid.
        repairs: What was put right on the way in.
        source: The DICOM instances behind the image, for objects that must reference them; None for other formats.
        levels: The DICOM instances of the slide whose finest level the image is: nothing is written on their frames.
    """

    image: Image
    repairs: tuple[Repair, ...] = ()
    source: DicomSource | None = None
    levels: DicomSource | None = None

    @property
    def sources(self) -> tuple[DicomSource, ...]:
        """All DICOM instances that a report about the image names."""
        return tuple(source for source in (self.source, self.levels) if source is not None)


@dataclass(frozen=True)
class Series:
    """Images that belong together: one volume, one film.

    Attributes:
        uid: SeriesInstanceUID, or the file's stem.
        modality: DICOM modality ("CT", "CR" …), or "" where the format does not tell.
        description: What a person reads: number of images, kind of file. Never a patient's name.
        images: Number of images (frames, slices).
        grid: Where the voxels are; None where unknown or refused.
        repairs: What reading it puts right, as far as headers tell.
        refusal: Why it cannot be used, or None.
        read: Loads the pixels. Picklable, so that a worker process can be handed a study.
        name: What the scanner called it ("t1_mprage_sag"), to choose by and never to tell: people type into it.
        projection: Of a film: "frontal" or "lateral" as its header says; "" where it does not, or there is none.
        slide: Opens the pyramid of a whole slide, which `read` then refuses to load; None for everything else.
        stack: Opens a file of many pictures that are scored together; None for everything else.
    """

    uid: str
    modality: str
    description: str
    images: int
    grid: Grid | None
    repairs: tuple[Repair, ...]
    refusal: InputRefused | None
    read: Callable[[], Loaded]
    name: str = ""
    projection: Projection = ""
    slide: "Callable[[], Slide] | None" = None
    stack: "Callable[[], PatchStack] | None" = None

    def load(self) -> Loaded:
        """Read the pixels.

        Raises:
            InputRefused: The series cannot be used honestly.
        """
        if self.refusal is not None:
            raise self.refusal
        return self.read()


@dataclass(frozen=True)
class Study:
    """One examination: the unit that is scored.

    Attributes:
        uid: StudyInstanceUID, or the file's (folder's) stem where there is none; names the study's output folder.
        source: Where it came from: a path as the caller gave it.
        series: All series found, usable or not, in a stable order.
        repairs: What was put right about the study as a whole (objects ignored, studies told apart).
        refusal: Why nothing in it can be used, or None.
    """

    uid: str
    source: str
    series: tuple[Series, ...]
    repairs: tuple[Repair, ...] = ()
    refusal: InputRefused | None = None


def choose_series(study: Study, modalities: tuple[str, ...], min_images: int = 1) -> tuple[Series, Repair | None]:
    """Choose the series to score, by rule: usable, of a wanted modality, most images, axial, largest box, first by uid.

    A modality of "" (NIfTI and pictures do not tell theirs) matches every wanted one. Among usable series an axial
    acquisition is preferred over a reformat, because its in-plane resolution is the scanner's own.

    Args:
        study: The study.
        modalities: Wanted DICOM modalities; empty means any.
        min_images: Series with fewer images are passed over.

    Returns:
        The series, and a repair that tells the choice where there was one to make.

    Raises:
        InputRefused: Nothing is usable; carries the refusal of the series that came closest.
    """
    if study.refusal is not None:
        raise study.refusal
    wanted = [s for s in study.series if not modalities or s.modality in (*modalities, "")]
    if not wanted:
        found = ", ".join(sorted({s.modality or "unknown" for s in study.series})) or "nothing"
        raise InputRefused(
            RefusalCode.WRONG_MODALITY,
            f"a series of modality {' or '.join(modalities)}",
            f"{found} in {study.source}",
            "choose the task that fits the study, or another study",
        )
    usable = [s for s in wanted if s.refusal is None and s.images >= min_images]
    if not usable:
        raise _closest_refusal(wanted, min_images, study.source)
    # `max` keeps the first of equals, which is the first by uid.
    chosen = max(sorted(usable, key=lambda s: s.uid), key=_rank)
    if len(wanted) == 1:
        return chosen, None
    others = "; ".join(
        f"{s.uid} ({s.images} images{', refused' if s.refusal else ''})" for s in wanted if s is not chosen
    )
    message = f"series {chosen.uid} with {chosen.images} images was chosen by the rule; passed over: {others}"
    return chosen, Repair(RepairCode.SERIES_CHOSEN, message)


def _rank(series: Series) -> tuple[int, bool, float]:
    """Sort key of `choose_series`: the greatest wins."""
    if series.grid is None:
        return series.images, False, 0.0
    volume = series.grid.voxel_volume_ml * float(series.grid.shape[0] * series.grid.shape[1] * series.grid.shape[2])
    return series.images, series.grid.orientation[2] in "SI", volume


def _closest_refusal(wanted: list[Series], min_images: int, source: str) -> InputRefused:
    largest = max(wanted, key=lambda s: (s.images, s.uid))
    if largest.refusal is not None:
        return largest.refusal
    return InputRefused(
        RefusalCode.SINGLE_SLICE if largest.images == 1 else RefusalCode.EMPTY_IMAGE,
        f"a series of at least {min_images} images",
        f"at most {largest.images} in {source}",
        "score a whole volume",
    )
