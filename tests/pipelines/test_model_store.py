"""Weights in and out: all of them or none, and nothing that could run code."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from datasets.errors import WeightsError
from networks.build import build
from networks.configs import DenseUNetConfig, Input, UNetPlusPlusConfig
from networks.inference import for_inference
from pipelines.model_store import (
    Card,
    find_weights,
    is_folder,
    list_weights,
    load_weights,
    read_card,
    save_tensors,
    save_weights,
    untrained,
)

CONFIG = DenseUNetConfig(init_features=4, growth_rate=2, block_config=(1, 1), feature_channels=4)
CARD = Card(name="tiny", task="liver_ct", trained_on="phantoms", held_out={"dice": 0.9}, limits="a test", phantom=True)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_weights(build(CONFIG, seed=1), CONFIG, CARD, path)
    return path


def _changed(path: Path, *, drop: str = "", add: str = "", reshape: str = "", metadata: dict[str, str] | None = None):
    tensors = load_file(path)
    if drop:
        del tensors[drop]
    if add:
        tensors[add] = torch.zeros(3)
    if reshape:
        tensors[reshape] = torch.zeros(1, 2, 3)
    new = path.with_name("changed.safetensors")
    told = {"network": json.dumps(CONFIG.model_dump(mode="json"))} if metadata is None else metadata
    save_file(tensors, new, metadata=told)
    return new


def _refused(path: Path, config: DenseUNetConfig | UNetPlusPlusConfig = CONFIG) -> WeightsError:
    """The refusal; the network must be as it was."""
    network = build(config, seed=2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(network, config, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert caught.value.advice
    assert "\n" not in str(caught.value)
    return caught.value


def test_what_was_saved_is_loaded(saved: Path) -> None:
    original, network = build(CONFIG, seed=1).state_dict(), build(CONFIG, seed=2)
    model = load_weights(network, CONFIG, saved)
    assert all(torch.equal(original[name], tensor) for name, tensor in network.state_dict().items())
    assert (model.name, model.trained_on) == ("tiny", "phantoms")
    assert model.weights_sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert read_card(saved) == CARD


def test_the_same_network_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "other.safetensors"
    network = build(CONFIG, seed=1).to(memory_format=torch.channels_last)
    save_weights(network, CONFIG, CARD, other)
    assert other.read_bytes() == saved.read_bytes()
    assert other.with_suffix(".json").read_bytes() == saved.with_suffix(".json").read_bytes()
    assert sorted(path.name for path in other.parent.iterdir()) == ["other.json", "other.safetensors"]


def test_another_network_is_refused_by_what_differs(saved: Path) -> None:
    wider = CONFIG.model_copy(update={"growth_rate": 3})
    error = _refused(saved, wider)
    assert "growth_rate=2" in error.expected
    assert "growth_rate=3" in error.got
    assert "init_features" not in str(error)
    assert "name=dense_unet" in _refused(saved, UNetPlusPlusConfig(features=(4, 8), out_channels=3)).expected


def test_a_setting_younger_than_the_file_had_its_default(saved: Path) -> None:
    told = CONFIG.model_dump(mode="json")
    del told["skips"]
    older = _changed(saved, metadata={"network": json.dumps(told)})
    load_weights(build(CONFIG), CONFIG, older)
    assert "skips=True" in _refused(older, CONFIG.model_copy(update={"skips": False})).expected


def test_a_copy_rewritten_for_inference_is_not_saved_as_the_network(tmp_path: Path) -> None:
    path = tmp_path / "rewritten.safetensors"
    with pytest.raises(WeightsError, match="exactly the tensors of the network"):
        save_weights(for_inference(build(CONFIG)), CONFIG, CARD, path)
    assert list(tmp_path.iterdir()) == []


def test_missing_left_over_and_reshaped_tensors_are_refused(saved: Path) -> None:
    names = sorted(load_file(saved))
    assert f"1 missing ({names[0]})" in _refused(_changed(saved, drop=names[0])).got
    assert "1 left over (zzz)" in _refused(_changed(saved, add="zzz")).got
    assert f"{names[-1]} (1, 2, 3)" in _refused(_changed(saved, reshape=names[-1])).got
    # Files of other programs do not say for which network they are: their tensors decide.
    assert "1 missing" in _refused(_changed(saved, drop=names[0], metadata={})).got
    load_weights(build(CONFIG), CONFIG, _changed(saved, metadata={}))


@pytest.mark.parametrize("told", ["{", "[]", "{}", '{"name": "dense_unet", "colour": 1}'])
def test_metadata_that_make_no_sense_are_refused(saved: Path, told: str) -> None:
    assert "changed.safetensors" in str(_refused(_changed(saved, metadata={"network": told})))


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_files_are_refused(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    assert "whole safetensors" in _refused(saved).expected


def test_a_damaged_card_is_refused(saved: Path) -> None:
    for text in ("", "{", '{"name": "x"}'):
        saved.with_suffix(".json").write_text(text)
        assert "tiny.json" in _refused(saved).got


def test_cards_from_before_imports_are_read(saved: Path) -> None:
    older = {"name": "x", "task": "liver_ct", "trained_on": "y", "held_out": {"dice": 0.5}, "limits": "z"}
    saved.with_suffix(".json").write_text(json.dumps(older | {"phantom": True}))
    card = read_card(saved)
    assert card is not None
    assert (card.held_out, card.labels, card.operating_points, card.input) == ({"dice": 0.5}, (), {}, None)


def test_cards_tell_what_an_import_knew(saved: Path) -> None:
    expects = Input(scale="HU", channels=1, low=-200.0, high=250.0, mean=(0.5,), std=(0.25,))
    known = {"source": "a.pth", "source_sha256": "0" * 64, "layout": "theirs", "drawn_anew": 3, "notes": ("one", "two")}
    card = CARD.model_copy(update=known | {"labels": ("a", ""), "operating_points": {"a": 0.25}, "input": expects})
    save_tensors(build(CONFIG, seed=1).state_dict(), CONFIG, card, saved)
    assert read_card(saved) == card
    load_weights(build(CONFIG), CONFIG, saved)


def test_a_folder_is_listed_by_name_and_a_missing_one_refused(saved: Path) -> None:
    saved.with_name("another.safetensors").write_bytes(b"")
    listed = [one for one in list_weights([saved.parent]) if not one.shipped]
    assert [one.path.name for one in listed] == ["another.safetensors", "tiny.safetensors"]
    assert listed[0].error is not None
    assert (listed[1].card, listed[1].error) == (CARD, None)
    assert listed[1].sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert listed[1].network == CONFIG.model_dump(mode="json")
    saved.write_bytes(_changed(saved, metadata={"network": "["}).read_bytes())
    damaged = next(one for one in list_weights([saved.parent]) if one.path == saved)
    assert damaged.error is not None
    assert "the network a file was made for" in damaged.error.expected
    with pytest.raises(WeightsError, match="a folder of weights"):
        list(list_weights([saved]))


def test_without_a_card_the_file_names_the_model(saved: Path) -> None:
    saved.with_suffix(".json").unlink()
    assert read_card(saved) is None
    model = load_weights(build(CONFIG), CONFIG, saved)
    assert (model.name, model.trained_on) == ("tiny", "unknown")


class _Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.ckpt", "model.bin"])
def test_pickles_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": _Bomb()}, name)
    with pytest.raises(WeightsError, match="pickles are not opened"):
        find_weights(name)
    # Renamed, it is still no safetensors file.
    renamed = Path(name).rename(tmp_path / "model.safetensors")
    _refused(find_weights(str(renamed)))
    assert not Path("exploded").exists()


def test_files_are_found_by_path_and_by_name(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_weights(str(saved)) == saved
    monkeypatch.setattr("pipelines.model_store.SHIPPED_FOLDER", saved.parent)
    assert find_weights("tiny") == saved
    for name in ("other", "", "sub/tiny", str(saved.with_name("none.safetensors"))):
        with pytest.raises(WeightsError, match="tiny"):
            find_weights(name)


def test_untrained_says_so() -> None:
    model = untrained()
    assert (model.name, model.weights_sha256, model.trained_on) == ("untrained", None, "nothing")


def test_half_precision_files_fill_full_precision_networks(saved: Path) -> None:
    network = build(CONFIG, seed=1)
    half = saved.with_name("half.safetensors")
    state = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    save_file(state, half)
    other = build(CONFIG, seed=2)
    load_weights(other, CONFIG, half)
    assert isinstance(other, nn.Module)
    for name, tensor in other.state_dict().items():
        assert tensor.dtype == network.state_dict()[name].dtype
        torch.testing.assert_close(tensor, network.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_how_weights_were_learnt_is_no_reason_to_refuse_them(saved: Path) -> None:
    network = build(CONFIG, seed=2)
    load_weights(network, CONFIG.model_copy(update={"dropout": 0.1, "norm_momentum": 0.5}), saved)
    original = build(CONFIG, seed=1).state_dict()
    assert all(torch.equal(original[name], tensor) for name, tensor in network.state_dict().items())


def test_a_folder_of_that_name_does_not_hide_weights_that_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nuclei").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not is_folder("nuclei")
    assert is_folder("./nuclei")
    assert find_weights("nuclei").is_file()
