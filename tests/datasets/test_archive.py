"""Archives that want more than to be read."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.archive import ArchiveLimits, extracted


def _zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _refused(path: Path, limits: ArchiveLimits | None = None) -> RefusalCode:
    before = set(path.parent.iterdir())
    with pytest.raises(InputRefused) as caught, extracted(path, limits):
        pytest.fail("opened")
    assert str(path) in caught.value.got
    assert set(path.parent.iterdir()) == before
    return caught.value.code


def test_files_are_there_in_private_and_then_gone(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"s/1.dcm": b"one", "s/2.dcm": b"two", "__MACOSX/x": b"", "s/.DS_Store": b""})
    with extracted(path) as folder:
        files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        assert files == {"s/1.dcm": b"one", "s/2.dcm": b"two"}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def test_the_folder_goes_when_the_block_fails(tmp_path: Path) -> None:
    seen = []

    def fail() -> None:
        with extracted(_zip(tmp_path / "a.zip", {"1": b"one"})) as folder:
            seen.append(folder)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not seen[0].exists()


@pytest.mark.parametrize(
    "name", ["../a.dcm", "s/../../a.dcm", "/etc/a.dcm", "C:/a.dcm", "c:a.dcm", "..\\a.dcm", "\\\\host\\a.dcm"]
)
def test_no_path_leads_outside(tmp_path: Path, name: str) -> None:
    assert _refused(_zip(tmp_path / "a.zip", {"good.dcm": b"", name: b"x"})) is RefusalCode.UNSAFE_ARCHIVE


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO):
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            info = zipfile.ZipInfo("link.dcm")
            info.external_attr = (kind | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
        assert _refused(path) is RefusalCode.UNSAFE_ARCHIVE


@pytest.mark.parametrize("name", ["inner.zip", "INNER.ZIP", "a.tar.gz", "b.7z", "c.rar", "plain"])
def test_archives_within_are_refused_by_name_and_by_content(tmp_path: Path, name: str) -> None:
    inner = _zip(tmp_path / "inner", {"1.dcm": b"one"}).read_bytes()
    assert _refused(_zip(tmp_path / "a.zip", {"0.dcm": b"", name: inner})) is RefusalCode.UNSAFE_ARCHIVE


def test_compressed_volumes_are_no_archives(tmp_path: Path) -> None:
    with extracted(_zip(tmp_path / "a.zip", {"a.nii.gz": b"\x1f\x8b"})) as folder:
        assert (folder / "a.nii.gz").is_file()


def test_bombs_are_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a.dcm": bytes(1_000_000), "b.dcm": b"b"})
    assert _refused(path, ArchiveLimits(ratio_from_bytes=100_000)) is RefusalCode.UNSAFE_ARCHIVE
    assert _refused(path, ArchiveLimits(total_bytes=1_000_000)) is RefusalCode.UNSAFE_ARCHIVE
    assert _refused(path, ArchiveLimits(files=1)) is RefusalCode.UNSAFE_ARCHIVE
    with extracted(path, ArchiveLimits(files=2, total_bytes=1_000_001)) as folder:
        assert (folder / "a.dcm").stat().st_size == 1_000_000


def test_a_size_that_was_lied_about_is_noticed(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a.dcm": bytes(100_000)})
    raw = path.read_bytes()
    # Both records of the member (local and central) claim ten bytes.
    path.write_bytes(raw.replace(struct.pack("<I", 100_000), struct.pack("<I", 10)))
    assert _refused(path) in (RefusalCode.UNSAFE_ARCHIVE, RefusalCode.UNREADABLE_FILE)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_member_does_not_replace_another(tmp_path: Path) -> None:
    assert _refused(_zip(tmp_path / "a.zip", {"a.dcm": b"1", "A.dcm": b"2"})) is RefusalCode.UNSAFE_ARCHIVE
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.dcm", b"1")
        archive.writestr("a.dcm", b"2")
    assert _refused(tmp_path / "a.zip") is RefusalCode.UNSAFE_ARCHIVE


def test_encrypted_archives_are_unreadable(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a.dcm": b"one"}, zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    assert _refused(path) is RefusalCode.UNREADABLE_FILE


def test_damage_is_told_from_a_broken_copy(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a.dcm": b"some bytes of content"}, zipfile.ZIP_STORED)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"some bytes", b"same bytes"))
    assert _refused(path) is RefusalCode.UNREADABLE_FILE
    path.write_bytes(whole[: len(whole) // 2])
    assert _refused(path) is RefusalCode.TRUNCATED_FILE
    path.write_bytes(b"no archive")
    assert _refused(path) is RefusalCode.UNREADABLE_FILE


def test_an_archive_without_files_gives_an_empty_folder(tmp_path: Path) -> None:
    with extracted(_zip(tmp_path / "a.zip", {})) as folder:
        assert list(folder.iterdir()) == []
