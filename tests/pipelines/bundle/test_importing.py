"""Bundles in: ours as they were, MONAI's where the network is ours, nothing of theirs run."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus
from monai.networks.nets.densenet import DenseNet
from safetensors.torch import load_file

from datasets.errors import WeightsError
from networks.build import build
from networks.checkpoints.targets import Wishes
from pipelines.bundle.importing import import_bundle, is_bundle
from pipelines.model_store import SHIPPED_FOLDER, read_card
from pipelines.weights_import import Destination

WIDTHS = {"block_config": [2, 3, 2], "growth_rate": 8, "init_features": 16}
DENSENET = {"_target_": "DenseNet", "spatial_dims": 2, "in_channels": 3, "out_channels": 4, **WIDTHS}


def _bundle(folder: Path, network_def: object, state: object, **metadata: str) -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "metadata.json").write_text(json.dumps({"version": "0.1", **metadata}))
    config = {"network_def": network_def, "channels": 3, "bomb": "$__import__('pathlib').Path('bomb').touch()"}
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    torch.save(state, folder / "models" / "model.pt")
    return folder


def _densenet() -> DenseNet:
    torch.manual_seed(0)
    network = DenseNet(2, 3, 4, init_features=16, growth_rate=8, block_config=(2, 3, 2))
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
    return network.eval()


def _zipped(folder: Path, archive: Path, within: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, within + path.relative_to(folder).as_posix())
    return archive


def _refused(source: Path, network: str, match: str, out: Path) -> None:
    with pytest.raises(WeightsError, match=match):
        import_bundle(source, network, None, Destination(out))
    assert not out.exists()
    assert not out.with_suffix(".json").exists()


@pytest.mark.parametrize("form", ["folder", "zip", "zip within a folder"])
def test_ours_comes_back_as_it_went(pneumonia: Path, tmp_path: Path, form: str) -> None:
    source = pneumonia
    if form != "folder":
        source = _zipped(pneumonia, tmp_path / "bundle.zip", "bundle/" if "within" in form else "")
    assert is_bundle(source)
    out = tmp_path / "back.safetensors"
    import_bundle(source, "densenet", None, Destination(out))
    shipped = SHIPPED_FOLDER / "chest_pneumonia.safetensors"
    assert out.read_bytes() == shipped.read_bytes()
    assert read_card(out) == read_card(shipped)


def test_ours_is_refused_as_another_network(pneumonia: Path, tmp_path: Path) -> None:
    _refused(pneumonia, "unet", "densenet", tmp_path / "no.safetensors")


def test_monais_densenet_computes_the_same(tmp_path: Path) -> None:
    theirs = _densenet()
    source = _bundle(
        tmp_path / "zoo", DENSENET | {"in_channels": "@channels"}, theirs.state_dict(), data_source="a set"
    )
    done = import_bundle(
        source, "densenet", Wishes(labels=("a", "b", "c", "d")), Destination(tmp_path / "o.safetensors")
    )
    ours = build(done.imported.config).eval()
    ours.load_state_dict(load_file(done.path))
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
    card = read_card(done.path)
    assert card is not None
    assert (card.trained_on, card.source, card.labels) == ("a set", "zoo", ("a", "b", "c", "d"))
    assert not (Path.cwd() / "bomb").exists()


@pytest.mark.parametrize(
    ("network_def", "reason"),
    [
        ({"_target_": "SegResNet", "spatial_dims": 3}, "SegResNet"),
        ({"_target_": "BasicUNetPlusPlus", "spatial_dims": 2}, "instance normalisation and leakyrelu"),
        (DENSENET | {"norm": "instance"}, "norm: instance"),
        (DENSENET | {"act": ["LeakyReLU", {"inplace": True}]}, "LeakyReLU"),
        (DENSENET | {"in_channels": "$1 + 2"}, "would have to be run"),
        (DENSENET | {"in_channels": "@bomb"}, "would have to be run"),
        ({"_target_": "scripts.own.Network"}, r"scripts\.own"),
        ({"_target_": "os.system", "command": "touch bomb"}, r"os\.system"),
        ("$torch.nn.Identity()", "without one"),
    ],
)
def test_what_is_not_ours_is_refused_with_the_reason(tmp_path: Path, network_def: Any, reason: str) -> None:
    source = _bundle(tmp_path / "zoo", network_def, _densenet().state_dict())
    _refused(source, "densenet", reason, tmp_path / "no.safetensors")


def test_a_unet_plus_plus_of_monai_is_refused_by_its_own_tensors_too(tmp_path: Path) -> None:
    state = BasicUNetPlusPlus(2, 1, 2).state_dict()
    _refused(_bundle(tmp_path / "zoo", DENSENET, state), "unet_plus_plus", "no layout", tmp_path / "no.safetensors")


class _Bomb:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("bomb"),))


def test_a_pickle_that_would_run_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = _bundle(tmp_path / "zoo", DENSENET, {"weight": _Bomb()})
    _refused(source, "densenet", "a pickle that needs", tmp_path / "no.safetensors")
    assert not (tmp_path / "bomb").exists()


@pytest.mark.parametrize("missing", ["configs/metadata.json", "models/model.pt"])
def test_a_part_is_missing(tmp_path: Path, missing: str) -> None:
    source = _bundle(tmp_path / "zoo", DENSENET, _densenet().state_dict())
    (source / missing).unlink()
    _refused(source, "densenet", Path(missing).name, tmp_path / "no.safetensors")


def test_weights_that_lead_out_of_the_bundle_are_not_read(tmp_path: Path) -> None:
    source = _bundle(tmp_path / "zoo", DENSENET, {})
    outside = tmp_path / "outside.pt"
    (source / "models" / "model.pt").replace(outside)
    (source / "models" / "model.pt").symlink_to(outside)
    _refused(source, "densenet", "leads elsewhere", tmp_path / "no.safetensors")


def test_names_in_a_zip_lead_nowhere(tmp_path: Path) -> None:
    source = _zipped(_bundle(tmp_path / "zoo", DENSENET, _densenet().state_dict()), tmp_path / "a.zip")
    with zipfile.ZipFile(source, "a") as packed:
        packed.writestr("../../models/escaped.py", "print()")
        packed.writestr("../models/model.pt", b"x")
    before = sorted(path.name for path in tmp_path.parent.iterdir())
    with pytest.raises(WeightsError, match="there twice"):
        import_bundle(source, "densenet", None, Destination(tmp_path / "o.safetensors"))
    assert sorted(path.name for path in tmp_path.parent.iterdir()) == before


def test_metadata_that_only_look_like_ours_are_refused(pneumonia: Path, tmp_path: Path) -> None:
    told = json.loads((pneumonia / "configs" / "metadata.json").read_bytes())
    del told["denselens"]["network"]["out_channels"]
    source = _bundle(tmp_path / "zoo", DENSENET, {})
    (source / "configs" / "metadata.json").write_text(json.dumps(told))
    _refused(source, "densenet", "as denselens writes it", tmp_path / "no.safetensors")


def test_other_files_are_no_bundles(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"x")
    buffer = io.BytesIO()
    torch.save({}, buffer)
    (tmp_path / "b.zip").write_bytes(buffer.getvalue())
    assert not is_bundle(tmp_path / "a.pth")
    assert not is_bundle(tmp_path / "b.zip"), "what torch writes is a zip too"
