import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app.services.models import Use, list_models, tasks_without_weights
from pipelines.model_store import SHIPPED_FOLDER, list_weights


def test_what_ships_is_what_the_command_line_lists() -> None:
    theirs = {one.path.stem: one for one in list_weights()}
    ours = {one.name: one for one in list_models()}
    assert ours.keys() == theirs.keys()
    for name, one in ours.items():
        assert (one.sha256, one.card, one.network) == (theirs[name].sha256, theirs[name].card, theirs[name].network)
        assert one.shipped
        assert not one.error


def test_tasks_stand_with_the_weights_their_yaml_names(repository: Path) -> None:
    used = {use.task: one.name for one in list_models() for use in one.uses if use.part == "network"}
    for name in ("liver_ct", "chest_xray", "chest_pneumonia", "histopathology", "nuclei"):
        assert used[name] == yaml.safe_load((repository / "configs" / f"{name}.yaml").read_text())["weights"]
    (refiner,) = (one for one in list_models() if one.name == "histopathology_refiner_phantom")
    assert Use("histopathology", "refiner") in refiner.uses
    without = tasks_without_weights()
    assert "chest_severity" in without
    assert not {"liver_ct", "nuclei"} & set(without)


def test_long_cards_are_shown_as_they_are(repository: Path) -> None:
    (nuclei,) = (one for one in list_models() if one.name == "nuclei")
    assert nuclei.text == (repository / "docs" / "model-cards" / "nuclei.md").read_text()


def test_a_folders_own_weights_are_listed_and_replace_none(tmp_path: Path) -> None:
    for suffix in ("safetensors", "json"):
        shutil.copy(SHIPPED_FOLDER / f"chest_pneumonia.{suffix}", tmp_path / f"chest_pneumonia.{suffix}")
    own = [one for one in list_models((tmp_path, tmp_path / "missing")) if one.path.parent == tmp_path]
    (one,) = own
    assert (one.shipped, one.uses, one.text) == (False, (), "")
    assert one.sha256 == hashlib.sha256(one.path.read_bytes()).hexdigest()
    assert one.megabytes == pytest.approx(1.484856)


@pytest.mark.parametrize("damage", ["weights", "card", "network"])
def test_damaged_ones_are_told(tmp_path: Path, damage: str) -> None:
    for suffix in ("safetensors", "json"):
        shutil.copy(SHIPPED_FOLDER / f"liver_coarse_phantom.{suffix}", tmp_path / f"mine.{suffix}")
    if damage == "weights":
        (tmp_path / "mine.safetensors").write_bytes(b"\0" * 40)
    elif damage == "card":
        (tmp_path / "mine.json").write_text("{}")
    else:
        header = json.dumps({"__metadata__": {"network": "[["}}).encode()
        (tmp_path / "mine.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    (one,) = list_models((), shipped=tmp_path)
    assert one.error.endswith("cannot be read.")
    assert (one.card, one.network) == (None, None)


def test_no_torch_is_needed() -> None:
    code = "import sys; from app.services.models import list_models; list_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
