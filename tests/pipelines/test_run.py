"""The one path from a study to a result."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import ConfigError, InputRefused, WeightsError
from datasets.phantoms import default_grid
from datasets.study import Series, Study
from networks.build import build
from pipelines.examination import Compute
from pipelines.model_store import Card, save_weights
from pipelines.phantom_check import phantom_study
from pipelines.run import Pipeline, pick_compute, record_of
from pipelines.task import load_task
from tests.pipelines.liver_scene import OWN_GRID, Reading, Said, field_of_view, pipeline, refused_study, scan, study

SMALL = (
    "network={name: dense_unet, init_features: 4, growth_rate: 2, block_config: [1, 1], feature_channels: 4}",
    "spacing_mm=[8, 8, 8]",
)
IMAGE = scan(field_of_view((4.0, 4.0, 5.0)))


def _small(weights: str = "null"):
    return load_task("liver_ct", [*SMALL, f"weights={weights}"])


@pytest.fixture
def trained(tmp_path: Path) -> str:
    path = tmp_path / "small.safetensors"
    task = _small()
    card = Card(name="small", task="liver_ct", trained_on="phantoms", limits="a test", phantom=True)
    save_weights(build(task.network), task.network, card, path)
    return str(path)


def test_without_weights_every_result_says_so() -> None:
    loaded = Pipeline.load(_small(), "cpu")
    said = Said(loaded.run(study(Reading(IMAGE))))
    assert [flag.severity for flag in said.result.quality if flag.code == "untrained_weights"] == ["error"]
    assert said.result.model.weights_sha256 is None
    # Random weights are the same ones every time.
    assert Pipeline.load(_small(), "cpu").run(study(Reading(IMAGE))).result_digest == said.result.result_digest


def test_weights_made_on_phantoms_say_so(trained: str) -> None:
    said = Said(Pipeline.load(_small(trained), "cpu").run(study(Reading(IMAGE))))
    assert "phantom_weights" in said.flags
    assert "untrained_weights" not in said.flags
    assert (said.result.model.name, len(said.result.model.weights_sha256)) == ("small", 64)


def test_weights_for_patients_need_no_flag(trained: str) -> None:
    card = Path(trained).with_suffix(".json")
    card.write_text(card.read_text().replace('"phantom": true', '"phantom": false'))
    assert Pipeline.load(_small(trained), "cpu").flags == ()


def test_missing_weights_are_told() -> None:
    with pytest.raises(WeightsError, match="no_such_weights"):
        Pipeline.load(_small("no_such_weights"), "cpu")


def test_a_loaded_network_cannot_be_trained_by_accident() -> None:
    network = Pipeline.load(_small(), "cpu").network
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_loading_changes_nobody_elses_random_numbers() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    Pipeline.load(_small(), "cpu")
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    "device", ["", "gpu", "CPU", "cpu:3", "mps", "meta", "cuda:-1", "cuda:x", "cuda:4096", "vulkan"]
)
def test_devices_that_are_not_there(device: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pick_compute(device)
    assert "cpu" in caught.value.advice + caught.value.expected


def test_cuda_without_a_gpu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for device in ("cuda", "cuda:0"):
        with pytest.raises(ConfigError, match="0 are there"):
            Pipeline.load(_small(), device)
    assert pick_compute("auto") == Compute("cpu", "fp32")
    assert pick_compute("cpu", "bf16") == Compute("cpu", "bf16")


def test_everything_about_the_study_is_in_the_result() -> None:
    repairs = (Repair(RepairCode.SLICES_REORDERED, "turned"),)
    two = Study(
        "1.2",
        "in/scans",
        (
            Series("1.2.7", "CT", "", 20, None, (), None, Reading(IMAGE, repairs=repairs)),
            Series("1.2.8", "CT", "", 3, None, (), None, Reading()),
        ),
        repairs=(Repair(RepairCode.STUDIES_SPLIT, "two studies"),),
    )
    result = pipeline(OWN_GRID).run(two)
    assert result.study.model_dump() == {
        "uid": "1.2",
        "modality": "CT",
        "source": "in/scans",
        "series_uid": "1.2.7",
    }
    assert [flag.code for flag in result.quality][:3] == ["studies_split", "series_chosen", "slices_reordered"]
    assert set(result.seconds) == {"load", "preprocess", "network", "postprocess"}
    assert all(seconds >= 0.0 for seconds in result.seconds.values())
    assert (result.task, result.device, result.outputs, result.error) == ("liver_ct", "cpu", {}, None)


def test_probabilities_travel_only_when_asked_for() -> None:
    assert pipeline(OWN_GRID).run(study(Reading(IMAGE))).probabilities is None
    result = pipeline(OWN_GRID, "output.probability=true").run(study(Reading(IMAGE)))
    assert result.probabilities.channels == 2
    assert result.probabilities.grid.matches(IMAGE.grid)
    # The network is sure of itself: where it says a label, that label's probability is at least one half.
    liver, tumor = result.probabilities.array
    np.testing.assert_array_equal(tumor > 127, result.labels.array[0] == 2)
    assert (liver[result.labels.array[0] == 1] > 127).all()


def test_the_same_study_gives_the_same_digest() -> None:
    first, second = (pipeline(OWN_GRID).run(study(Reading(IMAGE))) for _ in range(2))
    assert first.result_digest == second.result_digest
    assert first.seconds is not second.seconds


def test_refusals_pass_through() -> None:
    refusal = InputRefused(RefusalCode.MISSING_SLICE, "all slices", "a gap", "send it again")
    for broken in (refused_study(refusal), study(Reading(error=refusal))):
        with pytest.raises(InputRefused) as caught:
            pipeline().run(broken)
        assert caught.value.code == RefusalCode.MISSING_SLICE


def test_a_film_is_no_volume() -> None:
    film = Study("1", "film", (Series("1.1", "DX", "", 1, None, (), None, Reading(IMAGE)),))
    with pytest.raises(InputRefused, match="CT") as caught:
        pipeline().run(film)
    assert caught.value.code == RefusalCode.WRONG_MODALITY


def test_a_study_without_a_series_has_a_record() -> None:
    record = record_of(Study("1", "nothing", ()))
    assert (record.uid, record.modality, record.series_uid) == ("1", "", "")


def test_studies_travel_to_other_processes() -> None:
    copied = pickle.loads(pickle.dumps(study(Reading(IMAGE))))  # noqa: S301 (our own bytes)
    assert pipeline(OWN_GRID).run(copied).study.uid == "1.2.3"


def test_bf16_says_what_fp32_says() -> None:
    found = phantom_study(30_010, default_grid((1.5, 1.5, 6.0)))
    exact, rough = (
        Pipeline.load(load_task("liver_ct", [f"precision={kind}"]), "cpu").run(found).labels
        for kind in ("fp32", "bf16")
    )
    assert exact is not None
    assert rough is not None
    assert (exact.array > 0).sum() > 1000
    assert (exact.array == rough.array).mean() >= 0.999
    assert (exact.array == rough.array)[(exact.array > 0) | (rough.array > 0)].mean() >= 0.995
