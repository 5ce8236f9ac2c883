"""What was fetched, unpacked beside it: nothing outside of the folder, no links, no more than it may hold."""

import gzip
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from datasets.downloads.catalogue import Packing
from datasets.downloads.fetch import DownloadError
from datasets.io.archive import ArchiveLimits
from datasets.io.atomic import atomic_path

_CHUNK_BYTES = 2**20
_BROKEN = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError)


def unpack(path: Path, packing: Packing, limits: ArchiveLimits | None = None) -> Path:
    """Unpack a file into the folder it lies in, and remove it.

    Args:
        path: A tar archive without compression, whose members lie in one folder, or a file packed by gzip.
        packing: Which of both; "" leaves the file as it is.
        limits: What it may hold; the defaults when None.

    Returns:
        The file, which replaces one of its name, or the folder.

    Raises:
        DownloadError: It is damaged, would lead outside of the folder, holds links or devices, its folder
            is there already, or there is no room.
    """
    bounds = limits or ArchiveLimits()
    if not packing:
        return path
    try:
        unpacked = _untar(path, bounds) if packing == "tar" else _gunzip(path, bounds)
    except _BROKEN as error:
        raise DownloadError("an archive that can be unpacked", f"{type(error).__name__}: {error}", _ADVICE) from error
    except OSError as error:
        raise DownloadError("room to unpack", f"{path.parent}: {error.strerror or error}", "make room there") from error
    path.unlink()
    return unpacked


_ADVICE = "remove it and fetch it again"


def _gunzip(path: Path, limits: ArchiveLimits) -> Path:
    target = path.with_suffix("")
    with atomic_path(target) as temporary, gzip.open(path) as source, temporary.open("wb") as sink:
        _copy(source, sink, limits.total_bytes, target.name)
    return target


def _untar(path: Path, limits: ArchiveLimits) -> Path:
    temporary = path.with_name(f".{path.stem}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        with tarfile.open(path, "r:") as archive:
            members = _judged(archive, limits)
            needed = sum(member.size for member in members.values())
            if needed > shutil.disk_usage(temporary).free:
                raise DownloadError(f"room for {needed} bytes", f"less in {path.parent}", "make room there")
            for name, member in members.items():
                _extract(archive, member, temporary.joinpath(*name.parts))
        top = sorted(temporary.iterdir())
        if len(top) != 1 or not top[0].is_dir():
            names = ", ".join(entry.name for entry in top[:4])
            raise DownloadError("an archive of one folder", f"{names or 'nothing'} in {path.name}", _ADVICE)
        target = path.parent / top[0].name
        if target.exists():
            raise DownloadError("no folder of the archive's name", f"{target}", "move it away, or use it as it is")
        top[0].replace(target)
        return target
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _judged(archive: tarfile.TarFile, limits: ArchiveLimits) -> dict[PurePosixPath, tarfile.TarInfo]:
    """The files to unpack, once all members are found to be harmless."""
    members: dict[PurePosixPath, tarfile.TarInfo] = {}
    total = 0
    for member in archive:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or "\\" in member.name or ":" in member.name:
            raise _unsafe("names that stay inside the archive's own folder", f"{member.name!r}")
        if member.isdir():
            continue
        if not member.isreg():
            raise _unsafe("plain files", f"a link or device, {member.name!r}")
        # macOS adds "._name" to every file, which is none of the set.
        if any(part.startswith(".") for part in name.parts):
            continue
        total += member.size
        if name in members or len(members) >= limits.files or total > limits.total_bytes:
            told = f"{limits.files} files of {limits.total_bytes} bytes at most, each name once"
            raise _unsafe(told, f"{len(members) + 1} of {total}, {member.name!r}")
        members[name] = member
    return members


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    if source is None:
        raise _unsafe("plain files", f"{member.name!r}")
    with source, target.open("xb") as sink:
        _copy(source, sink, member.size, member.name)


def _copy(source: IO[bytes] | gzip.GzipFile, sink: IO[bytes], allowed: int, name: str) -> None:
    written = 0
    while chunk := source.read(_CHUNK_BYTES):
        written += len(chunk)
        if written > allowed:
            raise _unsafe(f"at most {allowed} bytes", f"more in {name!r}")
        sink.write(chunk)
    sink.flush()
    os.fsync(sink.fileno())


def _unsafe(expected: str, got: str) -> DownloadError:
    return DownloadError(f"an archive of {expected}", got, "do not use it; its publisher would not make such a file")
