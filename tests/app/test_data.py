"""`denselens data`: what there is, and a set into a folder, from a server on this machine."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli import main
from app.commands import data
from datasets.downloads.catalogue import CATALOGUE, PublicFile, PublicSet
from datasets.layouts import open_dataset
from tests.datasets.downloads.file_server import FileServer, serving


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path


@pytest.fixture
def server(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Has a set called "small", which the catalogue then has too."""
    shades = np.arange(4, dtype=np.uint8).repeat(9).reshape(4, 3, 3)
    np.savez(here / "source.npz", train_images=shades, train_labels=np.array([[0], [1], [1], [0]], np.uint8))
    content = (here / "source.npz").read_bytes()
    (here / "source.npz").unlink()
    with serving() as told:
        told.files["/small.npz"] = content
        checksum = f"md5:{hashlib.md5(content).hexdigest()}"
        file = PublicFile("small.npz", f"{told.url}/small.npz", checksum)
        one = PublicSet("small", "A small set", (file,), None, "CC0 1.0", "Nobody (2020)", "medmnist", "small.npz")
        monkeypatch.setitem(CATALOGUE, "small", one)  # type: ignore[misc]
        yield told


def _json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["data", *arguments, "--json"]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_every_set_is_listed_with_its_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", *CATALOGUE]
    liver = next(line for line in lines if line.startswith("msd_liver"))
    assert "CC BY-SA 4.0" in liver
    assert "28.9 GB" in liver
    document = _json(capsys, "list")
    assert set(document) == {"schema", "sets", "error", "research_use_only"}
    assert [one["name"] for one in document["sets"]] == list(CATALOGUE)
    assert all(set(one) == set(document["sets"][0]) for one in document["sets"])
    assert document["sets"][1]["files"][0]["checksum"].startswith("md5:")


def test_a_set_is_fetched_told_and_read(server: FileServer, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "download", "small"]) == 0
    told = capsys.readouterr().out
    assert told.splitlines() == [
        "A small set; CC0 1.0",
        "small.npz: fetched",
        "cite: Nobody (2020)",
        f"to use it: --data {Path('small', 'small.npz')}",
    ]
    assert len(open_dataset(here / "small" / "small.npz").examples) == 4
    document = _json(capsys, "download", "small")
    assert set(document) == {"schema", "set", "out", "data", "files", "error", "research_use_only"}
    assert [one["status"] for one in document["files"]] == ["there_before"]
    assert (document["out"], document["data"]) == ("small", str(Path("small", "small.npz")))
    assert _json(capsys, "download", "small", "--out", "x/y")["files"][0]["status"] == "fetched"
    assert (here / "x" / "y" / "small.npz").is_file()


def test_refusals_are_one_line(server: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.files["/small.npz"] = b"something else"
    for name, reason in (("nothing", "data list"), ("small", "it was removed")):
        assert main(["data", "download", name]) == 2
        told = capsys.readouterr()
        assert reason in told.err
        assert len(told.err.splitlines()) == 1
        document = _json(capsys, "download", name, code=2)
        assert set(document) == {"schema", "set", "error"}
        assert set(document["error"]) == {"code", "message", "advice"}
        assert document["error"]["code"] == "data_error"


def test_progress_is_for_people_alone(server: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "download", "small"]) == 0
    assert capsys.readouterr().err == ""
    assert set(data.VERBS) == {"list", "download"}
