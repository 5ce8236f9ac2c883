"""A training from data to weights: the same numbers whenever it is repeated, broken off, or shared out."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from datasets.errors import ConfigError
from pipelines.model_store import read_card
from pipelines.task import load_task
from pipelines.train import MANIFEST, TASK_FILE, Request, train
from pipelines.training import loop
from pipelines.training.course import STATE
from pipelines.training.parts import PARTS
from tests.pipelines.training.small_training import request, write_discs


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_discs(tmp_path_factory.mktemp("discs") / "set")


def weights(request: Request) -> bytes:
    return train(request).weights.read_bytes()


class Stopped(Exception):
    """Somebody pulled the plug."""


def test_two_runs_with_one_seed_are_one(discs: Path, tmp_path: Path) -> None:
    first, second = (train(request(discs, tmp_path / name)) for name in "ab")
    assert first.weights.read_bytes() == second.weights.read_bytes()
    assert weights(request(discs, tmp_path / "c", seed=1)) != first.weights.read_bytes()
    assert not (tmp_path / "a" / STATE).exists()
    # What is left suffices to use them.
    task = load_task(str(tmp_path / "a" / TASK_FILE))
    assert task.network == first.task.network
    assert task.digest == first.task.model_copy(update={"weights": None}).digest
    card = read_card(first.weights)
    assert card is not None
    assert card.task == "nuclei"
    parts = json.loads((tmp_path / "a" / PARTS).read_text())
    assert {len(parts["train"]), len(parts["validation"])} == {5, 1}
    assert [example.name for example in first.held] == parts["validation"]


@pytest.mark.parametrize("workers", [0, 2])
def test_threads_that_cut_patches_change_nothing(discs: Path, tmp_path: Path, workers: int) -> None:
    plain = weights(request(discs, tmp_path / "a"))
    assert weights(request(discs, tmp_path / "b", f"training.workers={workers}")) != b""
    told = load_file(tmp_path / "b" / "weights.safetensors")
    expected = load_file(tmp_path / "a" / "weights.safetensors")
    assert plain
    assert all(torch.equal(told[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("at", [1, 5, 7])
def test_a_broken_off_training_ends_as_it_would_have(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    often = "training.checkpoint_steps=2"
    whole = weights(request(discs, tmp_path / "whole", often))
    step = loop._step
    done = []

    def pulled(*args: object) -> float:
        if len(done) == at:
            raise Stopped
        done.append(at)
        return step(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "_step", pulled)
    with pytest.raises(Stopped):
        train(request(discs, tmp_path / "broken", often))
    monkeypatch.setattr(loop, "_step", step)
    assert weights(request(discs, tmp_path / "broken", often, resume=True)) == whole
    rows = {}
    for name in ("whole", "broken"):
        with (tmp_path / name / "log.csv").open() as stream:
            rows[name] = [(row["step"], row["figures"]) for row in csv.DictReader(stream)]
    assert rows["broken"] == rows["whole"]
    assert [number for number, _ in rows["whole"]] == ["4", "8"]


def test_stages_follow_each_other_and_can_be_resumed_between(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = (
        "training.stages=[{steps: 3}, {steps: 4, rate: 0.0001, network: {dropout: 0.0}}]",
        "training.checkpoint_steps=1",
    )
    whole = weights(request(discs, tmp_path / "whole", *stages))
    step, done = loop._step, []

    def pulled(*args: object) -> float:
        if len(done) == 5:
            raise Stopped
        done.append(1)
        return step(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "_step", pulled)
    with pytest.raises(Stopped):
        train(request(discs, tmp_path / "broken", *stages))
    monkeypatch.setattr(loop, "_step", step)
    assert weights(request(discs, tmp_path / "broken", *stages, resume=True)) == whole


def test_a_teacher_is_learnt_from(discs: Path, tmp_path: Path) -> None:
    taught = "training.teacher={config: nuclei, weights: nuclei, weight: 2.0}"
    assert weights(request(discs, tmp_path / "a", taught)) != weights(request(discs, tmp_path / "b"))
    other = "training.teacher={config: chest_pneumonia, weights: chest_pneumonia}"
    with pytest.raises(ConfigError, match="a teacher with as many channels"):
        train(request(discs, tmp_path / "c", other))


def test_a_training_may_start_from_weights(discs: Path, tmp_path: Path) -> None:
    first = train(request(discs, tmp_path / "a"))
    still = ("training.steps=1", "training.optimiser.rate=1e-12", f"training.start={first.weights}")
    second = train(request(discs, tmp_path / "b", *still))
    told, expected = load_file(second.weights), load_file(first.weights)
    assert all(torch.allclose(told[name], tensor, atol=1e-6) for name, tensor in expected.items())


def test_the_best_weights_are_kept_and_patience_ends_a_training(discs: Path, tmp_path: Path) -> None:
    # With such a rate nothing gets better after a while.
    patient = ("training.steps=400", "training.validation.every=2", "training.validation.patience=3")
    train(request(discs, tmp_path / "a", *patient, "training.validation.keep=best", "training.optimiser.rate=0.5"))
    with (tmp_path / "a" / "log.csv").open() as stream:
        figures = [float(row["figure"]) for row in csv.DictReader(stream)]
    assert len(figures) < 200
    best = figures.index(max(figures))
    assert len(figures) - 1 - best == 3


def test_a_folder_holds_one_training(discs: Path, tmp_path: Path) -> None:
    train(request(discs, tmp_path / "a"))
    with pytest.raises(ConfigError, match="--resume"):
        train(request(discs, tmp_path / "a"))
    with pytest.raises(ConfigError, match="seed"):
        train(request(discs, tmp_path / "a", seed=3, resume=True))
    with pytest.raises(ConfigError, match="settings"):
        train(request(discs, tmp_path / "a", "training.batch=3", resume=True))
    (discs / "images" / "more.txt").write_text("x")
    try:
        with pytest.raises(ConfigError, match="data"):
            train(request(discs, tmp_path / "a", resume=True))
    finally:
        (discs / "images" / "more.txt").unlink()


def test_time_ends_a_training_with_its_schedule_through(discs: Path, tmp_path: Path) -> None:
    long = request(discs, tmp_path / "a", "training.steps=1000000", "training.validation.every=1000000")
    start = time.monotonic()
    trained = train(replace(long, max_minutes=0.3, started=start), reserve_s=lambda *_: 2.0)
    assert time.monotonic() - start < 18.0
    with (tmp_path / "a" / "log.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    # The rate has fallen to nearly nothing: the schedule was run in the time there was.
    assert 0 < int(row["step"]) < 1000000
    assert float(row["rate"]) < 0.02 * load_task("nuclei").training.optimiser.rate
    assert trained.weights.is_file()


def test_a_manifest_tells_the_machine(discs: Path, tmp_path: Path) -> None:
    train(request(discs, tmp_path / "a"))
    told = json.loads((tmp_path / "a" / MANIFEST).read_text())
    assert told["machine"]["threads"] == torch.get_num_threads()
    assert told["seed"] == 0


SCRIPT = """
import sys
from pathlib import Path
from pipelines.train import train
from tests.pipelines.training.small_training import request
if __name__ == "__main__":
    data, out, seed, resume = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "resume"
    more = ("training.steps=60", "training.checkpoint_steps=3")
    train(request(data, out, *more, seed=seed, resume=resume))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 7])
def test_killed_at_a_random_step_and_resumed(discs: Path, tmp_path: Path, repository: Path, seed: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(repository)}

    def start(out: Path, how: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, str(script), str(discs), str(out), str(seed), how], env=environment, cwd=repository
        )

    assert start(tmp_path / "whole", "new").wait(300) == 0
    killed = start(tmp_path / "killed", "new")
    deadline = time.monotonic() + 300
    while not (tmp_path / "killed" / STATE).exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(random.Random(seed).uniform(0.0, 0.3))
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(60) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "weights.safetensors").exists()
    assert start(tmp_path / "killed", "resume").wait(300) == 0
    assert (tmp_path / "killed" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()


@pytest.mark.slow
def test_two_processes_are_one_with_a_doubled_batch(discs: Path, tmp_path: Path) -> None:
    # Without dropout, whose masks differ by process; Dice example by example, so that halves add up.
    alike = (
        "network.dropout=0.0",
        "training.steps=5",
        "training.loss.dice_over=example",
        "training.optimiser.clip=null",
    )
    one = train(request(discs, tmp_path / "one", *alike, "training.batch=4"))
    two = train(request(discs, tmp_path / "two", *alike, devices=2))
    expected, told = load_file(one.weights), load_file(two.weights)
    for name, tensor in expected.items():
        torch.testing.assert_close(told[name], tensor, atol=1e-5, rtol=1e-5)
