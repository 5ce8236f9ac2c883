"""Archives are unpacked into their own folder, and nowhere else."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.downloads.fetch import DownloadError
from datasets.downloads.unpack import unpack
from datasets.io.archive import ArchiveLimits


def _tar(path: Path, members: dict[str, bytes], change: Callable[[tarfile.TarInfo], None] = lambda _: None) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            change(info)
            archive.addfile(info, io.BytesIO(content))
    return path


def _refused(path: Path, match: str, limits: ArchiveLimits | None = None) -> None:
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(DownloadError, match=match):
        unpack(path, "tar", limits)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_tar_becomes_its_folder(tmp_path: Path) -> None:
    members = {
        "Task03_Liver/dataset.json": b"{}",
        "Task03_Liver/imagesTr/liver_0.nii.gz": b"a" * 3_000_000,
        "Task03_Liver/imagesTr/._liver_0.nii.gz": b"of macOS",
        "._Task03_Liver": b"of macOS",
    }
    path = unpack(_tar(tmp_path / "Task03_Liver.tar", members), "tar")
    assert path == tmp_path / "Task03_Liver"
    files = {f.relative_to(tmp_path).as_posix(): f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}
    assert files == {name: members[name] for name in list(members)[:2]}


def test_a_gz_becomes_its_file(tmp_path: Path) -> None:
    (tmp_path / "x.h5.gz").write_bytes(gzip.compress(b"patches" * 1000))
    assert unpack(tmp_path / "x.h5.gz", "gz") == tmp_path / "x.h5"
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("x.h5", b"patches" * 1000)]


def test_what_is_not_packed_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"a")
    assert unpack(tmp_path / "a.npz", "") == tmp_path / "a.npz"
    assert (tmp_path / "a.npz").read_bytes() == b"a"


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "a\\..\\out", "C:/out"])
def test_paths_that_lead_outside_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    _refused(_tar(tmp_path / "in" / "a.tar", {"a/b": b"", name: b"!"}), "stay inside")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(kind: bytes, tmp_path: Path) -> None:
    def change(info: tarfile.TarInfo) -> None:
        if info.name == "a/link":
            info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    _refused(_tar(tmp_path / "a.tar", {"a/b": b"", "a/link": b""}, change), "link or device")


def test_limits_hold(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar", {"a/1": b"12345", "a/2": b"12345"})
    _refused(path, "at most", ArchiveLimits(files=1))
    _refused(path, "at most", ArchiveLimits(total_bytes=9))
    assert unpack(path, "tar", ArchiveLimits(files=2, total_bytes=10)) == tmp_path / "a"
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"0" * 11))
    with pytest.raises(DownloadError, match="at most 10 bytes"):
        unpack(tmp_path / "x.gz", "gz", ArchiveLimits(total_bytes=10))
    assert not (tmp_path / "x").exists()


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("a/b"), io.BytesIO())
    _refused(path, "each name once")


def test_an_archive_of_several_folders_is_refused(tmp_path: Path) -> None:
    _refused(_tar(tmp_path / "a.tar", {"a/b": b"", "c/d": b""}), "one folder")


def test_a_folder_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").write_text("work")
    with pytest.raises(DownloadError, match="move it away"):
        unpack(_tar(tmp_path / "a.tar", {"a/b": b""}), "tar")
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["mine"]


def test_damage_is_told(tmp_path: Path) -> None:
    whole = _tar(tmp_path / "whole.tar", {"a/b": b"0" * 5000}).read_bytes()
    for name, content in {"cut.tar": whole[:3000], "no.tar": b"<html>"}.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(content)
        _refused(folder / name, "can be unpacked|at most|one folder")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(bytes(range(256)) * 100)[:60])
    with pytest.raises(DownloadError, match="can be unpacked"):
        unpack(tmp_path / "cut.gz", "gz")
    assert not (tmp_path / "cut").exists()
