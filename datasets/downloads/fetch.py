"""One file from a server: resumed where it broke off, whole or not there at all."""

import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from datasets.errors import DenseLensError

Progress = Callable[[str, int, int | None], None]
"""Is told a file's name, how many bytes are here, and of how many; None where the server does not say."""

_CHUNK_BYTES = 2**20
_TIMEOUT_S = 60.0
_AGENT = "denselens (+https://pypi.org/project/denselens)"
_OK, _PARTIAL, _NOT_SATISFIABLE, _TOO_MANY, _SERVER_ERROR = 200, 206, 416, 429, 500
_RANGE = re.compile(r"^bytes (?:(?P<first>\d+)-\d+|\*)/(?P<total>\d+|\*)$")
# The connection, and whatever the server's side of it does.
_BROKEN = (OSError, http.client.HTTPException)
# This much stays free on the disk.
_SPARE_BYTES = 2**26


class DownloadError(DenseLensError):
    """A file that cannot be had, or is not what it should be."""


@dataclass(frozen=True)
class Manners:
    """How to treat servers.

    Attributes:
        attempts: How often in a row a connection may fail without a byte more having come.
        wait_s: Before the second attempt; doubled before each further one.
        sleep: Waits so many seconds.
    """

    attempts: int = 5
    wait_s: float = 1.0
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Fetched:
    """A file that is whole.

    Attributes:
        path: Where it lies.
        bytes: Its size.
        resumed: Whether an earlier attempt's part of it was used.
    """

    path: Path
    bytes: int
    resumed: bool


def fetch(url: str, path: Path, checksum: str, progress: Progress, manners: Manners | None = None) -> Fetched:
    """Fetch a file and check it.

    What has come lies beside `path`, its name ending in ".part", until it is whole; it is kept when the connection
    breaks, and a later call asks for the rest alone where the server can do that. A file that is there, and is the one
    that is wanted, is not fetched again.

    Args:
        url: http or https.
        path: The file's name here; its folder is made when missing.
        checksum: "md5:…" or "sha256:…", hexadecimal.
        progress: Is told about every piece.
        manners: The defaults when None.

    Raises:
        DownloadError: The server does not have it, breaks off too often, sends to another scheme; what came is not what
            was promised (it is removed then); the disk has no room.
    """
    part = path.with_name(f"{path.name}.part")
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and _digest(path, checksum) == _wanted(checksum):
            return Fetched(path, path.stat().st_size, resumed=True)
    before = _length(part)
    resumed = _insist(url, part, progress, manners or Manners()) and before > 0
    _check(part, path.name, checksum)
    with writing_to(path.parent):
        part.replace(path)
    return Fetched(path, path.stat().st_size, resumed)


def _insist(url: str, part: Path, progress: Progress, manners: Manners) -> bool:
    """Try until the file is whole or the server fails too often; whether what was there could be used."""
    most, failures = _length(part), 0
    while True:
        try:
            return _continue(url, part, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != _TOO_MANY and error.code < _SERVER_ERROR:
                raise DownloadError("a file", f"{error.code} {error.reason} from {url}", _ADVICE) from error
            reason = f"{error.code} {error.reason}"
        except _BROKEN as error:
            reason = f"{type(error).__name__}: {error}"
        here = _length(part)
        failures = 1 if here > most else failures + 1
        most = max(most, here)
        if failures >= manners.attempts:
            raise DownloadError("the whole file", f"{here} bytes of {url}, then {reason}", _AGAIN)
        manners.sleep(manners.wait_s * 2 ** (failures - 1))


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


_ADVICE = "its publisher may have moved it: look for a newer version of denselens, or fetch it by hand"
_AGAIN = "check the connection and give the same command again: it goes on from there"


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows a redirect unless it leaves https, or leads to something that is no web server at all."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme.lower() != req.type:
            raise DownloadError(
                f"a redirect that stays with {req.type}",
                f"one from {req.full_url} to {urlsplit(newurl).scheme}:",
                "do not trust this connection; ask whoever runs the network",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    # Not `build_opener`, which opens files and FTP as well.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SameScheme(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _continue(url: str, part: Path, progress: Progress) -> bool:
    """Ask for what is missing and append it; whether what was there could be used."""
    here = _length(part)
    headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"} | ({"Range": f"bytes={here}-"} if here else {})
    request = urllib.request.Request(url, headers=headers)
    try:
        answer = _opener().open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != _NOT_SATISFIABLE or not here:
            raise
        error.close()
        if _total(error.headers) == here:
            return True
        # There is more here than the server has: another file's beginning.
        part.unlink()
        raise http.client.HTTPException("the server's file has become shorter; starting anew") from error
    with answer:
        total, start = _size(answer), _start(answer, here)
        check_room(part.parent, None if total is None else total - start)
        progress(part.stem, start, total)
        with writing_to(part.parent), part.open("r+b" if start else "wb") as sink:
            sink.seek(start)
            sink.truncate()
            _copy(answer, sink, lambda done: progress(part.stem, start + done, total))
        came = part.stat().st_size
    if total is not None and came != total:
        raise http.client.IncompleteRead(b"", total - came)
    return start > 0


def _start(answer: Any, here: int) -> int:
    """Where in the file the answer begins."""
    if answer.status != _PARTIAL:
        return 0
    match = _RANGE.match(answer.headers.get("Content-Range", ""))
    if match is None or match["first"] is None or int(match["first"]) != here:
        told = answer.headers.get("Content-Range")
        raise DownloadError(f"the file from byte {here} on", f"{told!r}", "remove the .part file and try again")
    return here


def _size(answer: Any) -> int | None:
    """Of the whole file."""
    if answer.status == _PARTIAL:
        return _total(answer.headers)
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _total(headers: Message) -> int | None:
    match = _RANGE.match(headers.get("Content-Range", ""))
    return int(match["total"]) if match is not None and match["total"].isdigit() else None


def _copy(source: Any, sink: IO[bytes], told: Callable[[int], None]) -> None:
    done = 0
    while chunk := _read(source):
        sink.write(chunk)
        done += len(chunk)
        told(done)
    sink.flush()
    os.fsync(sink.fileno())


def _read(source: Any) -> bytes:
    """The next piece; a connection that breaks is told apart from a disk that is full."""
    try:
        piece: bytes = source.read1(_CHUNK_BYTES)
        return piece
    except OSError as error:
        raise http.client.HTTPException(f"{type(error).__name__}: {error}") from error


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Tell what the system refuses while a file is written as something the caller can put right.

    Raises:
        DownloadError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        got = f"{folder}: {error.strerror or error}"
        raise DownloadError("a folder that can be written to", got, "make room, or choose another --out") from error


def check_room(folder: Path, needed: int | None) -> None:
    """Refuse to begin what the disk has no room for.

    Args:
        folder: One that exists.
        needed: Bytes; None where nobody knows.

    Raises:
        DownloadError: There is less free.
    """
    free = shutil.disk_usage(folder).free
    if needed is not None and needed + _SPARE_BYTES > free:
        got = f"{free} free in {folder}"
        raise DownloadError(f"room for {needed} bytes", got, "make room there, or choose another --out")


def _check(part: Path, name: str, checksum: str) -> None:
    digest = _digest(part, checksum)
    if digest != _wanted(checksum):
        part.unlink()
        raise DownloadError(
            f"{name} with the checksum {checksum}",
            f"{digest}; it was removed",
            "try again; where it stays so, the publisher has changed the file",
        )


def _wanted(checksum: str) -> str:
    return checksum.partition(":")[2].lower()


def _digest(path: Path, checksum: str) -> str:
    # MD5 is what publishers give: it tells damage, and https who sent the file.
    digest = hashlib.new(checksum.partition(":")[0], usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
