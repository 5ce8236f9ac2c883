"""A task that is no `ImageTask`: what it says, and with what it says it, is its own affair."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from datasets.codes import Repair, RepairCode
from datasets.errors import ConfigError
from datasets.image import Image, Intensity
from datasets.study import Loaded, Series, Study
from networks.build import build
from networks.configs import DenseNetConfig
from pipelines.examination import Assistant, Chosen, Clock, Examination, Instruments
from pipelines.image_task import load_image_task
from pipelines.model_store import Card, file_sha256, save_weights
from pipelines.outputs import write_result
from pipelines.results import Finding, OutputFile, QualityFlag, Quantity, SlideLocation, ViewRecord
from pipelines.run import Pipeline
from pipelines.score import many, run_key
from pipelines.task import Task

SMALL = DenseNetConfig(block_config=(1, 1), growth_rate=4, init_features=4, in_channels=1, out_channels=1)


class Reading:
    """A film of 32 x 32 pixels."""

    def __call__(self) -> Loaded:
        grey = np.arange(1024, dtype=np.uint8).reshape(1, 32, 32, 1)
        return Loaded(Image(grey, Intensity.GREY), (Repair(RepairCode.COLOUR_CONVERTED, "grey"),))


class Pair(Task):
    """Says what two networks make of all films of a study."""

    kind: Literal["pair"] = "pair"
    second: str | None = None
    told_by_the_card: tuple[str, ...] | None = None

    def assistants(self) -> Mapping[str, Assistant]:
        return {"second": Assistant(SMALL, self.second)}

    def suited_to(self, card: Card | None) -> "Pair":
        if self.told_by_the_card is not None or card is None:
            return self
        return self.model_copy(update={"told_by_the_card": card.labels})

    def choose(self, study: Study) -> Chosen:
        return Chosen(study.series, (Repair(RepairCode.VIEW_LEFT_OUT, "none"),))

    def examine(self, chosen: Chosen, instruments: Instruments, clock: Clock) -> Examination:
        views, sums = [], []
        for series in chosen.series:
            with clock.measure("load"):
                loaded = series.load()
            with clock.measure("network"), torch.inference_mode():
                x = torch.from_numpy(np.array(loaded.image.array[..., 0], dtype=np.float32))[None]
                says = instruments.network(x).item() - instruments.assistants["second"](x).item()
            sums.append(says)
            views.append(
                ViewRecord(
                    source=series.uid,
                    projection="",
                    used=True,
                    quantities=(Quantity(name="difference", value=says, unit="1"),),
                )
            )
        label = (self.told_by_the_card or ("unknown",))[0]
        finding = Finding(
            label=label,
            probability=0.5,
            raw_probability=0.25,
            threshold=0.5,
            positive=True,
            calibrated=True,
            location=SlideLocation(centroid_um=(1.0, 2.0), component=3),
        )
        return Examination(
            findings=(finding,),
            quantities=(Quantity(name="mean", value=float(np.mean(sums)), unit="1"),),
            flags=(QualityFlag(code="empty_result", severity="info", message="of the task"),),
            repairs=(Repair(RepairCode.COLOUR_CONVERTED, "of the film"),),
            views=tuple(views),
            files=(OutputFile("note", "note.txt", lambda path: path.write_text("whole", encoding="utf-8") and None),),
        )


def _study(films: int = 2) -> Study:
    series = [Series(f"film-{n}", "", "", 1, None, (), None, Reading()) for n in range(films)]
    return Study("study", "here", tuple(series))


def _weights(folder: Path, seed: int, name: str, labels: tuple[str, ...] = ()) -> Path:
    path = folder / f"{name}.safetensors"
    card = Card(name=name, task="pair", trained_on="nothing", limits="", phantom=False, labels=labels)
    save_weights(build(SMALL, seed=seed), SMALL, card, path)
    return path


@pytest.fixture
def task(tmp_path: Path) -> Pair:
    first, second = _weights(tmp_path, 1, "first", ("crack",)), _weights(tmp_path, 2, "second")
    return Pair(name="pair", network=SMALL, weights=str(first), second=str(second))


def test_every_film_and_every_network_has_its_say(task: Pair) -> None:
    result = Pipeline.load(task, "cpu").run(_study())
    assert [view.source for view in result.views] == ["film-0", "film-1"]
    # The films are alike and the networks are not.
    first, second = (view.quantities[0].value for view in result.views)
    assert first == second != 0.0
    assert result.quantities[0].value == pytest.approx(first)
    assert [flag.message for flag in result.quality] == ["none", "of the film", "of the task"]
    assert set(result.seconds) == {"load", "network"}


def test_the_weights_card_completes_the_task(task: Pair) -> None:
    assert Pipeline.load(task, "cpu").run(_study()).findings[0].label == "crack"
    stated = task.model_copy(update={"told_by_the_card": ("dent",)})
    assert Pipeline.load(stated, "cpu").run(_study()).findings[0].label == "dent"


def test_every_network_is_named_and_counts_for_the_run(task: Pair, tmp_path: Path) -> None:
    pipeline = Pipeline.load(task, "cpu")
    assert pipeline.model.assistants_sha256 == {"second": file_sha256(tmp_path / "second.safetensors")}
    other = task.model_copy(update={"second": str(_weights(tmp_path, 3, "third"))})
    assert run_key(Pipeline.load(other, "cpu")) != run_key(pipeline)


def test_an_assistant_without_weights_is_told(task: Pair) -> None:
    loaded = Pipeline.load(task.model_copy(update={"second": None}), "cpu")
    assert [(flag.code, flag.message.partition(":")[0]) for flag in loaded.flags] == [
        ("untrained_weights", "of the second")
    ]
    assert loaded.model.assistants_sha256 == {"second": None}


def test_further_files_are_written_named_and_cleared_away(task: Pair, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    result = Pipeline.load(task, "cpu").run(_study())
    written = write_result(result, task, folder)
    assert (folder / "note.txt").read_text(encoding="utf-8") == "whole"
    document = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert document["outputs"] == written.outputs == {"note": "note.txt"}
    (folder / "kept.txt").write_text("a reader's own", encoding="utf-8")
    write_result(result.model_copy(update={"files": ()}), task, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["kept.txt", "result.json"]


def test_a_document_that_lies_around_cannot_have_files_elsewhere_removed(task: Pair, tmp_path: Path) -> None:
    folder, outside = tmp_path / "study", tmp_path / "outside.txt"
    folder.mkdir()
    outside.write_text("precious", encoding="utf-8")
    hostile = {"outputs": {"a": "../outside.txt", "b": str(outside), "c": 7}}
    (folder / "result.json").write_text(json.dumps(hostile), encoding="utf-8")
    write_result(Pipeline.load(task, "cpu").run(_study()), task, folder)
    assert outside.read_text(encoding="utf-8") == "precious"


def test_what_is_not_there_has_no_key(task: Pair) -> None:
    document = Pipeline.load(task, "cpu").run(_study()).document()
    assert "slide" not in document
    assert "views" in document
    assert "localiser_sha256" not in document["model"]
    finding = document["findings"][0]
    assert finding["raw_probability"] == 0.25
    assert finding["location"] == {"centroid_um": [1.0, 2.0], "coordinates": "slide", "component": 3}
    plain = Finding(label="a", probability=None, threshold=0.5, positive=False, calibrated=False)
    assert "raw_probability" not in plain.model_dump()
    # A probability that was wanted and could not be had keeps its key.
    assert plain.model_dump()["probability"] is None


def test_a_row_of_the_table_names_the_region(task: Pair, tmp_path: Path) -> None:
    list(many([_study()], Pipeline.load(task, "cpu"), tmp_path))
    header, row = (tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()
    values = dict(zip(header.split(","), row.split(","), strict=True))
    assert values["crack_3_probability"] == "0.5"
    assert values["crack_3_positive"] == "True"


def test_seconds_of_a_step_add_up() -> None:
    clock = Clock()
    for _ in range(2):
        with clock.measure("load"):
            torch.zeros(1).sum()
    with pytest.raises(RuntimeError), clock.measure("network"):
        raise RuntimeError
    assert set(clock.seconds) == {"load", "network"}
    assert all(value >= 0.0 for value in clock.seconds.values())


def test_only_tasks_of_one_image_have_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_image_task("liver_ct").kind == "liver_ct"
    monkeypatch.setattr("pipelines.image_task.load_task", lambda *_: Pair(name="pair", network=SMALL))
    with pytest.raises(ConfigError, match="a task that looks at one image; got pair, of kind pair"):
        load_image_task("pair")


def test_studies_stay_as_they_came_unless_a_task_puts_them_together(task: Pair) -> None:
    studies = [_study(1), _study(2)]
    assert task.gather(studies) == tuple(studies)
    assert task.gather([]) == ()
