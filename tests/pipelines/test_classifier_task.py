"""What a YAML and a card say together, and views of any size through one network."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from datasets.errors import ConfigError, DenseLensError, WeightsError
from datasets.image import Image, Intensity
from datasets.study import Loaded, Series
from networks.build import build
from networks.configs import DenseNetConfig, Input
from pipelines.classification import ClassesHead, FindingsHead, Head, ScoreHead
from pipelines.classifier_task import ClassifierTask, View
from pipelines.examination import Chosen, Clock, Compute, Examination, Instruments
from pipelines.model_store import Card
from pipelines.results import FlagCode, QualityFlag

LABELS = ("effusion", "nodule")
NETWORK = DenseNetConfig(block_config=(1, 1), growth_rate=4, init_features=8, in_channels=1, out_channels=2)
CARD = Card(
    name="theirs",
    task="",
    trained_on="",
    limits="",
    phantom=False,
    labels=LABELS,
    input=Input(scale="[0, 1]", channels=1),
    operating_points={"nodule": 0.3},
    calibration={"nodule": (2.0, 0.5)},
)
FLAG = QualityFlag(code=FlagCode.LATERAL_VIEW, severity="error", message="seen")
PAIR = ClassesHead(labels=("normal", "pneumonia"), negative="normal")
THREE = ClassesHead(labels=("mild", "moderate", "severe"))


class Squares(ClassifierTask):
    """Every series is a square of noise, as large as its name says; the last one may count for nothing."""

    kind: str = "squares"
    default_labels: ClassVar[tuple[str, ...]] = LABELS
    last_counts: bool = True

    def views(self, chosen: Chosen, clock: Clock) -> list[View]:
        views = [View(series.uid, series.load().image, series.load().image, flags=(FLAG,)) for series in chosen.series]
        return [*views[:-1], replace(views[-1], used=self.last_counts)]


def _task(**settings: Any) -> Squares:
    return Squares(**{"name": "squares", "network": NETWORK} | settings)


def _chosen(*sizes: int) -> Chosen:
    def read(size: int) -> Callable[[], Loaded]:
        pixels = np.random.default_rng(size).normal(size=(1, size, size, 1)).astype(np.float32)
        return lambda: Loaded(Image(pixels, Intensity.GREY))

    return Chosen(tuple(Series(f"{size} px", "", "", 1, None, (), None, read(size)) for size in sizes))


def _examine(task: ClassifierTask, *sizes: int, compute: Compute = Compute()) -> Examination:  # noqa: B008 - frozen
    return task.examine(_chosen(*sizes), Instruments(build(task.network, seed=1).eval(), compute), Clock())


def _raw(examination: Examination) -> list[float]:
    return [finding.raw_probability or 0.0 for finding in examination.findings]


def test_what_the_yaml_leaves_open_the_card_fills() -> None:
    task = _task().suited_to(CARD)
    assert task.outputs == (FindingsHead(labels=LABELS),)
    assert (task.input, task.operating_points) == (CARD.input, {"nodule": 0.3})
    assert (task.judge.calibration["nodule"].slope, task.judge.calibration["nodule"].intercept) == (2.0, 0.5)
    own = Input(scale="mine", channels=1, size_px=64)
    mine = _task(input=own, operating_points={"effusion": 0.1, "nodule": 0.2}, calibration={"nodule": (3.0, 0.0)})
    suited = mine.suited_to(CARD)
    assert (suited.input, suited.operating_points) == (own, {"effusion": 0.1, "nodule": 0.2})
    assert suited.judge.calibration["nodule"].slope == 3.0


def test_without_a_card_there_are_usual_names_and_pixels() -> None:
    task = _task().suited_to(None)
    assert task.outputs == (FindingsHead(labels=LABELS),)
    assert (task.expected.channels, task.expected.size_px, task.expected.mean) == (1, 224, ())
    colour = _task(network=NETWORK.model_copy(update={"in_channels": 3, "out_channels": 3})).suited_to(None)
    assert colour.expected.mean == (0.485, 0.456, 0.406)
    assert colour.judge.names == ("output_01", "output_02", "output_03")
    with pytest.raises(ConfigError, match="what pixels the weights expect"):
        _ = _task().expected


def test_outputs_nobody_trained_lose_the_name_the_yaml_gives_them() -> None:
    card = CARD.model_copy(update={"labels": ("", "nodule")})
    assert _task(outputs=[FindingsHead(labels=LABELS)]).suited_to(card).judge.names == ("", "nodule")
    assert [f.label for f in _examine(_task().suited_to(card), 32).findings] == ["nodule"]


@pytest.mark.parametrize(
    ("settings", "card", "told"),
    [
        ({"outputs": [FindingsHead(labels=("nodule", "effusion"))]}, {}, "outputs effusion, nodule, as theirs has"),
        ({"outputs": [PAIR]}, {"labels": ("pneumonia", "normal")}, "outputs pneumonia, normal, as theirs has them"),
        ({"outputs": [PAIR]}, {"labels": ("pneumonia",)}, "outputs pneumonia, as theirs has them"),
        ({"outputs": [FindingsHead(labels=("a", "a"))]}, {"labels": ()}, "names of their own; got twice a"),
        ({"operating_points": {"nodul": 0.3}}, {}, "operating_points of effusion, nodule; got nodul"),
        ({"calibration": {"mass": (1.0, 0.0)}}, {}, "calibration of effusion, nodule; got mass"),
        ({"outputs": [THREE]}, {"labels": ()}, "as many outputs as the network has, 2; got 3"),
        ({"input": Input(scale="", channels=3)}, {}, "as many channels as the network takes, 1; got 3"),
        ({}, {"calibration": {"nodule": (-1.0, 0.0)}}, "slopes above 0; got nodule in the card of theirs"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings: dict[str, Any], card: dict[str, Any], told: str) -> None:
    with pytest.raises(DenseLensError, match=told) as caught:
        _task(**settings).suited_to(CARD.model_copy(update={"operating_points": {}, "calibration": {}} | card))
    assert caught.value.advice


def test_of_several_classes_none_has_an_operating_point() -> None:
    outputs: list[Head] = [THREE, ScoreHead(name="severity", high=8.0)]
    settings = {"outputs": outputs, "network": NETWORK.model_copy(update={"out_channels": 4})}
    with pytest.raises(ConfigError, match="got severe"):
        _task(**settings, operating_points={"severe": 0.3}).suited_to(None)
    assert _task(**settings).suited_to(None).judge.names == ("mild", "moderate", "severe", "severity")


def test_views_of_any_size_are_scored_as_if_alone() -> None:
    task = _task(batch=2).suited_to(CARD)
    sizes = (32, 32, 48, 40, 40, 40)
    together = _examine(task, *sizes)
    alone = [_raw(_examine(task, size)) for size in sizes]
    for view, own in zip(together.views, alone, strict=True):
        assert [finding.raw_probability for finding in view.findings] == pytest.approx(own, abs=2e-6)
    assert _raw(together) == pytest.approx(np.mean(alone, axis=0).tolist(), abs=2e-6)


def test_a_view_that_counts_for_nothing_keeps_its_flags_to_itself() -> None:
    task = _task(last_counts=False).suited_to(CARD)
    examination = _examine(task, 32, 40)
    assert _raw(examination) == pytest.approx(_raw(_examine(_task().suited_to(CARD), 32)), abs=2e-6)
    assert [flag.message for flag in examination.flags] == ["32 px: seen"]
    assert [(view.used, len(view.quality)) for view in examination.views] == [(True, 1), (False, 1)]


def test_of_a_single_view_nothing_is_told_twice() -> None:
    examination = _examine(_task().suited_to(CARD), 32)
    assert examination.views == ()
    assert examination.flags == (FLAG,)


def test_half_precision_says_nearly_the_same() -> None:
    task = _task().suited_to(CARD)
    half = _examine(task, 32, 40, compute=Compute(precision="bf16"))
    assert _raw(half) == pytest.approx(_raw(_examine(task, 32, 40)), abs=0.02)


def test_what_is_no_number_is_no_answer() -> None:
    task = _task().suited_to(CARD)
    network = build(NETWORK, seed=1).eval()
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    with pytest.raises(WeightsError, match="finite logits"):
        task.examine(_chosen(32), Instruments(network, Compute()), Clock())


def test_settings_survive_a_yaml(tmp_path: Path) -> None:
    task = _task(outputs=[PAIR], calibration={"pneumonia": (2.0, -1.0)})
    assert Squares.model_validate_json(task.model_dump_json()) == task
    for line in ((0.0, 1.0), (-1.0, 0.0)):
        with pytest.raises(ValueError, match="greater than 0"):
            _task(outputs=[PAIR], calibration={"pneumonia": line})
