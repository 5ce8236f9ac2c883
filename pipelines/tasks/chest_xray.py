"""Findings on projection films of the chest, and, by other YAMLs, of other parts of the body.

One network, any of the DenseNet family; its labels, its operating points and the pixels it expects come with its
weights. All films of a study are scored; what is told of the study is the mean over the films that show what the
network was trained on, and every film keeps its own scores.
"""

from typing import ClassVar, Literal

from datasets.codes import Repair, RepairCode
from datasets.errors import InputRefused
from datasets.image import Image
from datasets.study import Loaded, Series, Study, choose_series
from networks.checkpoints.published import CHEST_XRAY_14
from pipelines.classifier_task import ClassifierTask, View
from pipelines.examination import Chosen, Clock
from pipelines.film_guard import look
from pipelines.film_preparation import Grey, prepared, shown
from pipelines.results import FlagCode, QualityFlag


class ChestXray(ClassifierTask):
    """Settings and steps of tasks on films."""

    default_labels: ClassVar[tuple[str, ...]] = CHEST_XRAY_14

    kind: Literal["chest_xray"] = "chest_xray"
    # Digitised and captured films come as "OT"; what they show is for the guard to say.
    modalities: tuple[str, ...] = ("CR", "DX", "RG", "OT")
    projection: Literal["frontal", "any"] = "frontal"
    guard: bool = True

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

    def choose(self, study: Study) -> Chosen:
        """All films of the study, in the order of their uids; those that cannot be used are told.

        Raises:
            InputRefused: None can be used.
        """
        first, _ = choose_series(study, self.modalities, self.min_images)
        wanted = sorted(
            (one for one in study.series if one.modality in (*self.modalities, "") and one.images == first.images == 1),
            key=lambda one: one.uid,
        )
        films = tuple(one for one in wanted if one.refusal is None)
        left_out = tuple(_left_out(one, one.refusal.message) for one in wanted if one.refusal is not None)
        return Chosen(films or (first,), left_out)

    def views(self, chosen: Chosen, clock: Clock) -> list[View]:
        """Load, look at and prepare every film.

        Raises:
            InputRefused: No film can be scored.
        """
        loaded, refused = [], []
        for series in chosen.series:
            try:
                with clock.measure("load"):
                    film = series.load()
                with clock.measure("preprocess"):
                    loaded.append((series, film, *shown(film.image)))
            except InputRefused as refusal:
                refused.append((series, refusal))
        if not loaded:
            raise refused[0][1]
        frontal = [series for series, *_ in loaded if not self._is_lateral(series)]
        told = tuple(_left_out(series, refusal.message) for series, refusal in refused)
        views = []
        for number, (series, film, grey, assumed) in enumerate(loaded):
            repairs = (*film.repairs, *assumed, *(told if number == 0 else ()))
            used = not (self._is_lateral(series) and frontal)
            if not used:
                repairs = (*repairs, _left_out(series, "a lateral view beside frontal ones"))
            with clock.measure("preprocess"):
                views.append(self._view(series, film, grey, repairs, used=used))
        return views

    def _view(self, series: Series, film: Loaded, grey: Grey, repairs: tuple[Repair, ...], *, used: bool) -> View:
        return View(
            source=series.uid,
            prepared=prepared(grey, self.expected),
            image=film.image,
            projection=series.projection,
            used=used,
            repairs=repairs,
            flags=self._flags(series, grey),
        )

    def _flags(self, series: Series, grey: Grey) -> tuple[QualityFlag, ...]:
        if self._is_lateral(series):
            message = "a lateral view, as its header says, where a frontal one is expected"
            return (QualityFlag(code=FlagCode.LATERAL_VIEW, severity="error", message=message),)
        return look(grey) if self.guard else ()

    def _is_lateral(self, series: Series) -> bool:
        return self.projection == "frontal" and series.projection == "lateral"


def _left_out(series: Series, reason: str) -> Repair:
    return Repair(RepairCode.VIEW_LEFT_OUT, f"film {series.uid} has no part in the study's findings: {reason}")


TASK = ChestXray
