"""Findings on projection films of the chest, and, by other YAMLs, of other parts of the body.

One network, any of the DenseNet family; its labels, its operating points and the pixels it expects come with its
weights. All films of a study are scored; what is told of the study is the mean over the films that show what the
network was trained on, and every film keeps its own scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import ClassVar, Literal

from pydantic import Field

from datasets.codes import Repair, RepairCode
from datasets.errors import InputRefused
from datasets.image import Image
from datasets.io.study_names import named_apart
from datasets.study import Loaded, Series, Study, choose_series
from networks.checkpoints.published import CHEST_XRAY_14
from pipelines.classifier_task import ClassifierTask, View
from pipelines.examination import Chosen, Clock
from pipelines.film_guard import look
from pipelines.film_preparation import Grey, contrast, prepared, shown
from pipelines.results import FlagCode, QualityFlag

# Films by a window or a range of their own use half of the greys and more.
_USUAL_CONTRAST = 0.15


class ChestXray(ClassifierTask):
    """Settings and steps of tasks on films."""

    default_labels: ClassVar[tuple[str, ...]] = CHEST_XRAY_14

    kind: Literal["chest_xray"] = "chest_xray"
    # Digitised and captured films come as "OT"; what they show is for the guard to say.
    modalities: tuple[str, ...] = ("CR", "DX", "RG", "OT")
    projection: Literal["frontal", "any"] = Field(
        default="frontal", description="frontal: lateral views are left out beside others, and flagged alone"
    )
    pictures: Literal["alone", "by_folder"] = Field(
        default="alone", description="which PNG and JPEG are one study: each, or all of a folder, as MURA has them"
    )
    guard: bool = Field(default=True, description="look whether a film is an upright frontal one of the chest")

    def preprocess(self, image: Image) -> Image:
        """A film as the network takes it; the same for training and every door.

        Args:
            image: As it was read, (1 or 3, I, J, 1).

        Returns:
            float32 (channels, size, size, 1).

        Raises:
            InputRefused: It is no film, or shows nothing.
        """
        return prepared(shown(image)[0], self.expected)

    def gather(self, studies: Sequence[Study]) -> tuple[Study, ...]:
        """Pictures of one folder become one study, named after it, where `pictures` asks for that."""
        if self.pictures == "alone":
            return tuple(studies)
        gathered: dict[str, Study] = {}
        for study in studies:
            folder = PurePosixPath(study.source.replace("\\", "/")).parent
            key = str(folder) if _is_picture(study) else f"study {study.uid}"
            if key in gathered:
                first = gathered[key]
                repairs = tuple(dict.fromkeys((*first.repairs, *study.repairs)))
                gathered[key] = replace(first, series=(*first.series, *study.series), repairs=repairs)
            else:
                gathered[key] = study if key != str(folder) else replace(study, uid=folder.name, source=str(folder))
        return named_apart(gathered.values())

    def choose(self, study: Study) -> Chosen:
        """All films of the study, lateral ones last, in the order of their uids; those that cannot be used are told.

        Raises:
            InputRefused: None can be used.
        """
        first, _ = choose_series(study, self.modalities, self.min_images)
        wanted = sorted(
            (one for one in study.series if one.modality in (*self.modalities, "") and one.images == first.images == 1),
            key=lambda one: (self._is_lateral(one), one.uid),
        )
        films = tuple(one for one in wanted if one.refusal is None)
        left_out = tuple(_left_out(one, one.refusal.message) for one in wanted if one.refusal is not None)
        return Chosen(films or (first,), left_out)

    def views(self, chosen: Chosen, clock: Clock) -> list[View]:
        """Load, look at and prepare every film.

        Raises:
            InputRefused: No film can be scored.
        """
        films: list[_Film] = []
        refused: list[tuple[Series, InputRefused]] = []
        for series in chosen.series:
            try:
                with clock.measure("load"):
                    loaded = series.load()
                with clock.measure("preprocess"):
                    grey, changed = shown(loaded.image)
                    films.append(_Film(series, loaded, grey, (*loaded.repairs, *changed), self._flags(series, grey)))
            except InputRefused as refusal:
                refused.append((series, refusal))
        if not films:
            raise refused[0][1]
        told = tuple(_left_out(series, refusal.message) for series, refusal in refused)
        with clock.measure("preprocess"):
            views = [self._view(film, films) for film in films]
        return [replace(views[0], repairs=(*views[0].repairs, *told)), *views[1:]]

    def _view(self, film: "_Film", films: Sequence["_Film"]) -> View:
        used = not film.is_lateral or all(other.is_lateral for other in films)
        left_out = () if used else (_left_out(film.series, "a lateral view beside others"),)
        return View(
            source=film.series.uid,
            prepared=prepared(film.grey, self.expected),
            image=film.loaded.image,
            dicom=film.loaded.source,
            projection=film.series.projection,
            used=used,
            repairs=(*film.repairs, *left_out),
            flags=film.flags,
        )

    def _flags(self, series: Series, grey: Grey) -> tuple[QualityFlag, ...]:
        flags: tuple[QualityFlag, ...] = ()
        if self._is_lateral(series):
            message = "a lateral view, as its header says, where a frontal one is expected"
            flags = (QualityFlag(code=FlagCode.LATERAL_VIEW, severity="error", message=message),)
        elif self.guard:
            flags = look(grey)
        share = contrast(grey)
        if share >= _USUAL_CONTRAST:
            return flags
        message = f"the film uses {share:.0%} of the greys between black and white: window or bits may be wrong"
        return (*flags, QualityFlag(code=FlagCode.OUTSIDE_TRAINING_RANGE, severity="warning", message=message))

    def _is_lateral(self, series: Series) -> bool:
        return self.projection == "frontal" and series.projection == "lateral"


@dataclass(frozen=True, eq=False)
class _Film:
    """A film that can be scored.

    Attributes:
        series: Where it is from.
        loaded: As it was read.
        grey: As it is shown.
        repairs: What was put right so far.
        flags: Why what is said of it should be read with care.
    """

    series: Series
    loaded: Loaded
    grey: Grey
    repairs: tuple[Repair, ...]
    flags: tuple[QualityFlag, ...]

    @property
    def is_lateral(self) -> bool:
        """Whether it is lateral where that is not wanted: as its header says or, where that is silent, by its look."""
        seen = any(flag.code == FlagCode.LATERAL_VIEW for flag in self.flags)
        return seen and self.series.projection != "frontal"


def _is_picture(study: Study) -> bool:
    """Whether a study is one file that says nothing of what it is, and can be read."""
    return study.refusal is None and len(study.series) == 1 and not study.series[0].modality


def _left_out(series: Series, reason: str) -> Repair:
    return Repair(RepairCode.VIEW_LEFT_OUT, f"film {series.uid} has no part in the study's findings: {reason}")


TASK = ChestXray
