"""Files come whole or not at all, from a server that breaks off, lies, and sends elsewhere."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datasets.downloads.fetch import DownloadError, Fetched, Manners, check_room, fetch
from tests.datasets.downloads.file_server import FileServer, serving

CONTENT = bytes(range(256)) * 20_000
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as told:
        told.files["/a.npz"] = CONTENT
        yield told


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


class Waits(list[float]):
    """Notes how long was waited, and does not."""

    def manners(self, attempts: int = 3) -> Manners:
        return Manners(attempts, 1.0, self.append)


def _fetch(server: FileServer, path: Path, checksum: str = MD5, manners: Manners | None = None) -> Fetched:
    return fetch(f"{server.url}/a.npz", path, checksum, lambda *_: None, manners or Waits().manners())


@pytest.mark.parametrize("checksum", [MD5, SHA256, MD5.upper().replace("MD5", "md5")])
def test_a_whole_file_comes_and_nothing_else_is_left(server: FileServer, tmp_path: Path, checksum: str) -> None:
    told: list[tuple[str, int, int | None]] = []
    got = fetch(f"{server.url}/a.npz", tmp_path / "new" / "a.npz", checksum, lambda *one: told.append(one))
    assert got == Fetched(tmp_path / "new" / "a.npz", len(CONTENT), resumed=False)
    assert got.path.read_bytes() == CONTENT
    assert [file.name for file in got.path.parent.iterdir()] == ["a.npz"]
    assert server.asked == [("/a.npz", None)]
    assert told[0] == ("a.npz", 0, len(CONTENT))
    assert told[-1] == ("a.npz", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_broken_connection_goes_on_where_it_broke(server: FileServer, tmp_path: Path) -> None:
    server.broken_after = [1_000_000, 500_000]
    waits = Waits()
    got = _fetch(server, tmp_path / "a.npz", manners=waits.manners())
    assert got.path.read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=1000000-", "bytes=1500000-"]
    # Each attempt came further: none of them counts as one more failure in a row.
    assert waits == [1.0, 1.0]


def test_a_later_call_goes_on_too(server: FileServer, tmp_path: Path) -> None:
    server.broken_after = [1_000_000, 0, 0]
    waits = Waits()
    with pytest.raises(DownloadError, match="give the same command again"):
        _fetch(server, tmp_path / "a.npz", manners=waits.manners(3))
    assert waits == [1.0, 2.0]
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz.part"]
    assert (tmp_path / "a.npz.part").read_bytes() == CONTENT[:1_000_000]
    server.asked.clear()
    got = _fetch(server, tmp_path / "a.npz")
    assert (got.resumed, got.path.read_bytes()) == (True, CONTENT)
    assert server.asked == [("/a.npz", "bytes=1000000-")]


def test_a_server_without_ranges_sends_all_of_it_again(server: FileServer, tmp_path: Path) -> None:
    server.knows_ranges, server.broken_after = False, [3_000_000]
    got = _fetch(server, tmp_path / "a.npz")
    assert got.path.read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=3000000-"]
    (tmp_path / "b.npz.part").write_bytes(b"old")
    again = fetch(f"{server.url}/a.npz", tmp_path / "b.npz", MD5, lambda *_: None)
    assert (again.resumed, again.path.read_bytes()) == (False, CONTENT)


def test_a_server_without_ranges_that_always_breaks_is_given_up(server: FileServer, tmp_path: Path) -> None:
    server.knows_ranges, server.broken_after = False, [3000, 10, 2000, 20, 30, 40]
    with pytest.raises(DownloadError, match="the whole file"):
        _fetch(server, tmp_path / "a.npz", manners=Waits().manners(4))
    assert len(server.asked) == 4


def test_what_is_whole_already_is_only_checked(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.npz.part").write_bytes(CONTENT)
    assert _fetch(server, tmp_path / "a.npz").resumed
    assert server.asked == [("/a.npz", f"bytes={len(CONTENT)}-")]
    server.asked.clear()
    assert _fetch(server, tmp_path / "a.npz").path.read_bytes() == CONTENT
    assert server.asked == []


def test_another_file_of_that_name_is_replaced_once_the_right_one_is_whole(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"mine")
    server.broken_after = [10, 0, 0]
    with pytest.raises(DownloadError):
        _fetch(server, tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == b"mine"
    _fetch(server, tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_begun_anew(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.npz.part").write_bytes(CONTENT + b"more")
    assert _fetch(server, tmp_path / "a.npz").path.read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_wrong_checksum_is_refused_and_removed(server: FileServer, tmp_path: Path) -> None:
    wrong = "md5:" + "0" * 32
    with pytest.raises(DownloadError, match="it was removed") as caught:
        _fetch(server, tmp_path / "a.npz", wrong)
    assert hashlib.md5(CONTENT).hexdigest() in caught.value.got
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_short_without_a_length_is_refused(server: FileServer, tmp_path: Path) -> None:
    server.tells_length, server.broken_after = False, [1000]
    with pytest.raises(DownloadError, match="it was removed"):
        _fetch(server, tmp_path / "a.npz")
    server.broken_after = []
    assert _fetch(server, tmp_path / "a.npz").path.read_bytes() == CONTENT


def test_what_is_not_there_is_not_asked_for_twice(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="404"):
        fetch(f"{server.url}/none", tmp_path / "a.npz", MD5, lambda *_: None)
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_busy_server_is_asked_again_after_a_while(server: FileServer, tmp_path: Path) -> None:
    server.errors = [503, 429]
    waits = Waits()
    assert _fetch(server, tmp_path / "a.npz", manners=waits.manners()).path.read_bytes() == CONTENT
    assert waits == [1.0, 2.0]


def test_a_server_that_is_gone_is_told(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="refused"):
        fetch("http://127.0.0.1:9/a", tmp_path / "a", MD5, lambda *_: None, Waits().manners(2))


def test_redirects_are_followed_within_a_scheme_and_not_beyond(server: FileServer, tmp_path: Path) -> None:
    server.redirects = {"/moved": "/a.npz", "/up": "https://127.0.0.1:9/a.npz", "/file": "file:///etc/hostname"}
    assert fetch(f"{server.url}/moved", tmp_path / "a", MD5, lambda *_: None).path.read_bytes() == CONTENT
    for path in ("up", "file"):
        with pytest.raises(DownloadError, match=r"stays with http|not allowed"):
            fetch(f"{server.url}/{path}", tmp_path / path, MD5, lambda *_: None)
    server.redirects["/round"] = "/round"
    with pytest.raises(DownloadError, match="302"):
        fetch(f"{server.url}/round", tmp_path / "round", MD5, lambda *_: None)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/a", "data:,a"])
def test_nothing_but_the_web_is_opened(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError):
        fetch(url, tmp_path / "a", MD5, lambda *_: None, Waits().manners(1))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_a_byte_is_written(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**26 + len(CONTENT) - 1))
    with pytest.raises(DownloadError, match=f"room for {len(CONTENT)} bytes"):
        _fetch(server, tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []
    # What is here already needs no more room.
    (tmp_path / "a.npz.part").write_bytes(CONTENT[:1])
    _fetch(server, tmp_path / "a.npz")
    check_room(tmp_path, None)


def test_a_folder_that_is_none_is_told(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="can be written to"):
        _fetch(server, tmp_path / "file" / "a.npz")


def test_a_part_from_elsewhere_is_refused(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.npz.part").write_bytes(CONTENT[:5])

    def lie(handler: Any, content: bytes, _: str | None) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 7-9/{len(content)}")
        handler.send_header("Content-Length", "3")
        handler.end_headers()
        handler.wfile.write(content[7:10])

    monkeypatch.setattr(server, "_send", lie)
    with pytest.raises(DownloadError, match="from byte 5 on"):
        _fetch(server, tmp_path / "a.npz")
    assert (tmp_path / "a.npz.part").read_bytes() == CONTENT[:5]
