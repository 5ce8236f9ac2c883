"""The memory of a run, through crashes."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from datasets.errors import ConfigError
from pipelines.journal import JOURNAL, Entry, Journal

FIRST = Entry("1.1", "in/a", "1.1", "done", "", "", "ab", 1.5)
SECOND = Entry("1.2", "in/b", "1.2", "failed", "missing_slice", "expected …; got “a gap”", "cd", 0.5)


def _lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / JOURNAL).read_text().splitlines()]


def _written(folder: Path) -> None:
    journal = Journal(folder, "run", fresh=False)
    journal.append(FIRST)
    journal.append(SECOND)


def test_a_later_run_remembers(tmp_path: Path) -> None:
    out = tmp_path / "made" / "here"
    _written(out)
    journal = Journal(out, "run", fresh=False)
    assert journal.get("1.1") == FIRST
    assert journal.get("1.2") == SECOND
    assert journal.get("1.3") is None
    assert _lines(out)[0] == {"run": "run"}
    assert len(_lines(out)) == 3


def test_the_last_word_counts(tmp_path: Path) -> None:
    _written(tmp_path)
    mended = replace(SECOND, status="done", code="", message="")
    Journal(tmp_path, "run", fresh=False).append(mended)
    assert Journal(tmp_path, "run", fresh=False).get("1.2") == mended
    assert len(_lines(tmp_path)) == 3


def test_a_line_that_a_crash_cut_short_is_forgotten_and_the_next_is_whole(tmp_path: Path) -> None:
    _written(tmp_path)
    whole = (tmp_path / JOURNAL).read_bytes()
    start_of_last = whole[:-1].rindex(b"\n") + 1
    for end in (*range(start_of_last, len(whole) - 1, 13), len(whole) - 2):
        (tmp_path / JOURNAL).write_bytes(whole[:end])
        journal = Journal(tmp_path, "run", fresh=False)
        assert journal.get("1.1") == FIRST
        assert journal.get("1.2") is None
        journal.append(SECOND)
        assert (tmp_path / JOURNAL).read_bytes() == whole


@pytest.mark.parametrize("tail", [b"\x00" * 64, b"\xff\xfe\x80", b"12\n", b"[1]\n", b"\n\n"])
def test_whatever_a_power_cut_leaves_is_forgotten(tmp_path: Path, tail: bytes) -> None:
    _written(tmp_path)
    path = tmp_path / JOURNAL
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert Journal(tmp_path, "run", fresh=False).get("1.2") == SECOND
    assert path.read_bytes() == whole


def test_a_first_line_cut_short_is_a_new_run(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text('{"ru')
    Journal(tmp_path, "run", fresh=False)
    assert _lines(tmp_path) == [{"run": "run"}]


@pytest.mark.parametrize("content", ['{"run": "other"}\n', '{"walk": "run"}\n', "{}\n"])
def test_another_run_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    (tmp_path / JOURNAL).write_text(content)
    with pytest.raises(ConfigError, match="--fresh"):
        Journal(tmp_path, "run", fresh=False)
    assert (tmp_path / JOURNAL).read_text() == content
    Journal(tmp_path, "run", fresh=True)
    assert _lines(tmp_path) == [{"run": "run"}]


def test_fresh_forgets(tmp_path: Path) -> None:
    _written(tmp_path)
    assert Journal(tmp_path, "run", fresh=True).get("1.1") is None
    assert len(_lines(tmp_path)) == 1


def test_an_entry_is_on_the_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, "run", fresh=False)
    synced = []

    def fsync(handle: int) -> None:
        # What is synced is the journal, and the line stands in it by then.
        same = os.path.samestat(os.fstat(handle), (tmp_path / JOURNAL).stat())
        synced.append((same, (tmp_path / JOURNAL).read_text().count("\n")))

    monkeypatch.setattr(os, "fsync", fsync)
    journal.append(FIRST)
    assert synced == [(True, 2)]


def test_text_of_any_kind_stays_on_its_line(tmp_path: Path) -> None:
    odd = replace(FIRST, study="a\nb\u2028c\udce9", message='"\\ é')
    Journal(tmp_path, "run", fresh=False).append(odd)
    assert Journal(tmp_path, "run", fresh=False).get(odd.study) == odd
    assert len(_lines(tmp_path)) == 2


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="can be written to"):
            Journal(place, "run", fresh=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
