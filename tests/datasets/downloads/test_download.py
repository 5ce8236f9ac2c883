"""A set comes into a folder once, file by file, and a second call brings what is missing alone."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from datasets.downloads.catalogue import PublicFile, PublicSet
from datasets.downloads.download import RECEIPT, download
from datasets.downloads.fetch import DownloadError, Manners
from tests.datasets.downloads.file_server import FileServer, serving

MANNERS = Manners(2, 0.0, lambda _: None)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as told:
        yield told


def _file(server: FileServer, name: str, content: bytes) -> PublicFile:
    server.files[f"/{name}"] = content
    packing = "gz" if name.endswith(".gz") else "tar" if name.endswith(".tar") else ""
    checksum = f"md5:{hashlib.md5(content).hexdigest()}"
    return PublicFile(name, f"{server.url}/{name}?download=1", checksum, packing)  # type: ignore[arg-type]


def _set(*files: PublicFile) -> PublicSet:
    return PublicSet("small", "A small set", files, None, "CC0 1.0", "nobody", "pcam")


def _tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo("task/dataset.json")
        info.size = 2
        archive.addfile(info, io.BytesIO(b"{}"))
    return packed.getvalue()


def test_a_set_comes_once(server: FileServer, tmp_path: Path) -> None:
    wanted = _set(_file(server, "x.h5.gz", gzip.compress(b"patches")), _file(server, "meta.csv", b"wsi"))
    got = download(wanted, tmp_path / "new", lambda *_: None, MANNERS)
    assert [(one.path.name, one.status) for one in got] == [("x.h5", "fetched"), ("meta.csv", "fetched")]
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == [RECEIPT, "meta.csv", "x.h5"]
    assert (tmp_path / "new" / "x.h5").read_bytes() == b"patches"
    note = json.loads((tmp_path / "new" / RECEIPT).read_text())
    assert (note["licence"], note["set"], set(note["files"])) == ("CC0 1.0", "small", {"x.h5.gz", "meta.csv"})
    server.asked.clear()
    again = download(wanted, tmp_path / "new", lambda *_: None, MANNERS)
    assert [one.status for one in again] == ["there_before"] * 2
    assert server.asked == []


def test_what_is_missing_is_brought(server: FileServer, tmp_path: Path) -> None:
    first, second = _file(server, "x.h5.gz", gzip.compress(b"patches" * 9999)), _file(server, "meta.csv", b"wsi" * 999)
    server.broken_after = [None, 1000, 0]
    with pytest.raises(DownloadError, match="give the same command again"):
        download(_set(first, second), tmp_path, lambda *_: None, MANNERS)
    server.broken_after = []
    got = download(_set(first, second), tmp_path, lambda *_: None, MANNERS)
    assert [one.status for one in got] == ["there_before", "resumed"]
    (tmp_path / "x.h5").unlink()
    got = download(_set(first, second), tmp_path, lambda *_: None, MANNERS)
    assert [one.status for one in got] == ["fetched", "there_before"]


def test_a_newer_file_of_that_name_is_fetched(server: FileServer, tmp_path: Path) -> None:
    wanted = _set(_file(server, "meta.csv", b"old"))
    download(wanted, tmp_path, lambda *_: None, MANNERS)
    got = download(_set(_file(server, "meta.csv", b"new")), tmp_path, lambda *_: None, MANNERS)
    assert (got[0].status, got[0].path.read_bytes()) == ("fetched", b"new")


def test_a_folder_somebody_may_work_in_is_left_alone(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    wanted = _set(_file(server, "task.tar", _tar()))
    with pytest.raises(DownloadError, match="move it away"):
        download(wanted, tmp_path, lambda *_: None, MANNERS)
    assert server.asked == []
    (tmp_path / "task").rmdir()
    assert download(wanted, tmp_path, lambda *_: None, MANNERS)[0].path == tmp_path / "task"
    assert (tmp_path / "task" / "dataset.json").read_text() == "{}"
    assert download(wanted, tmp_path, lambda *_: None, MANNERS)[0].status == "there_before"


def test_an_archive_needs_room_twice(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**27 + 150))
    flat = replace(_set(_file(server, "meta.csv", b"wsi")), about_bytes=2**26 + 100)
    download(flat, tmp_path / "flat", lambda *_: None, MANNERS)
    packed = replace(_set(_file(server, "task.tar", _tar())), about_bytes=2**26 + 100)
    server.asked.clear()
    with pytest.raises(DownloadError, match=f"room for {2**27 + 200} bytes"):
        download(packed, tmp_path / "packed", lambda *_: None, MANNERS)
    assert server.asked == []
    assert not (tmp_path / "packed").exists()


@pytest.mark.parametrize("note", ["", "[]", '{"files": 3}', "{}"])
def test_a_damaged_note_costs_no_more_than_a_check(note: str, server: FileServer, tmp_path: Path) -> None:
    wanted = _set(_file(server, "meta.csv", b"wsi"))
    download(wanted, tmp_path, lambda *_: None, MANNERS)
    (tmp_path / RECEIPT).write_text(note)
    server.asked.clear()
    assert download(wanted, tmp_path, lambda *_: None, MANNERS)[0].path.read_bytes() == b"wsi"
    assert server.asked == []
