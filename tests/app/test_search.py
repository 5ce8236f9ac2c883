"""`denselens search`, from files to an index and from patches to their likes."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from app.cli import main
from datasets.io.discover import open_inputs
from tests.pipelines.patch_files import narrow_weights, write_picture, write_stack


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return narrow_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Six pictures in two folders."""
    for number in range(6):
        write_picture(tmp_path / "cohort" / ("odd" if number % 2 else "even") / f"{number}.png", number)
    return tmp_path / "cohort"


@pytest.fixture
def index(tmp_path: Path, cohort: Path, weights: Path) -> Path:
    call = ["search", str(cohort), "--index", str(tmp_path / "index"), "--add", "--labels", "folders"]
    assert main([*call, "--weights", str(weights)]) == 0
    return tmp_path / "index"


def answer(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["search", *map(str, arguments), "--json"]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def keys(repository: Path) -> set[str]:
    text = (repository / "docs" / "interface.md").read_text(encoding="utf-8")
    table = text.partition("\n## What `search --json` prints\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ((?:`[a-z_0-9]+`(?:, )?)+) \|", table, re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`([a-z_0-9]+)`", row)}


def test_making_an_index_is_told(
    cohort: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", str(cohort), "--index", str(tmp_path / "i"), "--add", "--weights", str(weights)]) == 0
    told = capsys.readouterr().out
    assert "6 patches of 6 files added, 0 with a label" in told
    assert "Research use only" in told
    assert main(["search", str(cohort), "--index", str(tmp_path / "i"), "--add"]) == 0
    assert "6 files were there before" in capsys.readouterr().out


def test_a_patch_finds_itself_and_the_label_of_others(
    index: Path, cohort: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = answer(capsys, cohort / "odd" / "3.png", "--index", index, "--top", 3)
    assert set(document) == keys(repository) - {"counts"}
    assert document["patches"] == 6
    (asked,) = document["queries"]
    assert asked["source"] == str(cohort / "odd" / "3.png")
    first, *others = asked["neighbours"]
    assert (first["source"], first["itself"], first["label"]) == (asked["source"], True, "odd")
    assert first["similarity"] == pytest.approx(1.0, abs=1e-6)
    assert [one["rank"] for one in asked["neighbours"]] == [1, 2, 3]
    assert not any(one["itself"] for one in others)
    # What it is itself does not count.
    labels = [one["label"] for one in others]
    assert asked["vote"]["labelled"] == 2
    assert asked["vote"]["share"] == labels.count(asked["vote"]["label"]) / 2


def test_the_table_is_for_people(index: Path, cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["search", str(cohort / "odd" / "3.png"), "--index", str(index), "--top", "2"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == str(cohort / "odd" / "3.png")
    assert told[2].split()[:3] == ["1", "1.0000", "odd"]
    assert told[2].endswith("3.png  (the patch itself)")
    assert "most are: " in told[4]
    assert told[-1] == "searched 6 patches. Research use only, not a medical device."


def test_a_sheet_shows_the_patches(index: Path, cohort: Path, tmp_path: Path) -> None:
    asked = [str(cohort / "odd" / "3.png"), str(cohort / "even" / "2.png")]
    assert main(["search", *asked, "--index", str(index), "--sheet", str(tmp_path / "s.png"), "--top", "3"]) == 0
    sheet = np.asarray(Picture.open(tmp_path / "s.png").convert("RGB")).astype(int)
    # The first tile, and beside it the patch itself.
    asked_about, itself = sheet[20:140, 20:140], sheet[20:140, 188:308]
    np.testing.assert_array_equal(asked_about, itself)
    assert asked_about.std() > 10


def test_additions_in_one_document(
    cohort: Path, weights: Path, tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cohort / "broken.png").write_bytes(b"no picture")
    call = (cohort, "--index", tmp_path / "i", "--add", "--weights", weights, "--labels", "folders")
    document = answer(capsys, *call, code=3)
    assert set(document) == keys(repository) - {"queries"}
    counts = {"added": 6, "labelled": 6, "files": 6, "there_before": 0, "failed": 1, "patches": 6}
    assert document["counts"] == counts
    (failed,) = document["failed"]
    assert failed["source"] == str(cohort / "broken.png")
    assert failed["error"]["code"] == "unreadable_file"


def test_pictures_of_one_file_are_asked_about_one_by_one(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = answer(capsys, write_stack(tmp_path / "x.h5", 3), "--index", index, "--top", 1)
    assert [(one["index"], Path(one["neighbours"][0]["source"]).name) for one in document["queries"]] == [
        (number, f"{number}.png") for number in range(3)
    ]


def test_weights_of_another_network_are_refused(
    index: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = narrow_weights(tmp_path, "other", seed=1)
    for more in (["--add"], []):
        document = answer(capsys, cohort, "--index", index, "--weights", other, *more, code=2)
        assert document["error"]["code"] == "config_error"
        assert "weights_sha256 of the index" in document["error"]["message"]


def wrong(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main(["search", *map(str, arguments)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    return told.err


def test_wrong_calls_are_told(index: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = cohort / "odd" / "3.png"
    assert "--add" in wrong(capsys, picture, "--index", tmp_path / "none")
    assert "with --add" in wrong(capsys, picture, "--index", index, "--labels", "folders")
    assert "--at and --sheet" in wrong(capsys, picture, "--index", index, "--add", "--at", "1,2")
    assert "two numbers" in wrong(capsys, picture, "--index", index, "--at", "12")
    assert "leave --at out" in wrong(capsys, picture, "--index", index, "--at", "12,12")
    assert "--mpp above 0" in wrong(capsys, picture, "--index", index, "--add", "--mpp", "0")
    assert "mpp of the index" in wrong(capsys, picture, "--index", index, "--add", "--mpp", "0.5")
    assert "device" in wrong(capsys, picture, "--index", index, "--device", "abacus")


def test_an_empty_index_has_no_answers(
    cohort: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "grey").mkdir()
    Picture.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "grey" / "a.png")
    call = ["search", str(tmp_path / "grey"), "--index", str(tmp_path / "i"), "--add", "--weights", str(weights)]
    assert main(call) == 3
    assert "an empty one" in wrong(capsys, cohort, "--index", tmp_path / "i")


@pytest.mark.real_data
def test_places_on_a_real_slide(
    shared_data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = shared_data / "slide" / "CMU-1-Small-Region.svs"
    with open_inputs([slide]) as inventory, inventory.studies[0].series[0].slide() as opened:
        width, height = opened.size_um
    assert main(["search", str(slide), "--index", str(tmp_path / "i"), "--add", "--weights", str(weights)]) == 0
    assert "with a slide" in wrong(capsys, slide, "--index", tmp_path / "i")
    cell_um = 96 * 0.97
    middle = [(edge // cell_um // 2 + 0.5) * cell_um for edge in (width, height)]
    place = f"{middle[0]},{middle[1]}"
    document = answer(capsys, slide, "--index", tmp_path / "i", "--at", place)
    first = document["queries"][0]["neighbours"][0]
    assert first["similarity"] == pytest.approx(1.0, abs=1e-5)
    assert first["x_um"] == pytest.approx(middle[0] - cell_um / 2)
