"""Files appear whole or not at all."""

import os
from pathlib import Path

import pytest

from datasets.io.atomic import atomic_path, write_bytes, write_text


def test_the_content_is_there_and_nothing_else(tmp_path: Path) -> None:
    write_bytes(tmp_path / "new" / "folder" / "a.bin", b"\0\1")
    write_text(tmp_path / "new" / "folder" / "a.txt", "é\n")
    assert (tmp_path / "new" / "folder" / "a.bin").read_bytes() == b"\0\1"
    assert (tmp_path / "new" / "folder" / "a.txt").read_bytes() == b"\xc3\xa9\n"
    assert sorted(file.name for file in (tmp_path / "new" / "folder").iterdir()) == ["a.bin", "a.txt"]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            assert temporary.parent == path.parent, "a rename is atomic within a file system only"
            assert path.read_text() == "old"
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_file_gets_the_mode_that_the_umask_asks_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
