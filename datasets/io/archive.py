"""Zip archives, unpacked within bounds into a folder nobody else can read."""

import lzma
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from datasets.codes import RefusalCode
from datasets.errors import InputRefused

_GIB = 2**30
_CHUNK_BYTES = 2**20
_DRIVE = re.compile(r"^[A-Za-z]:")
_NESTED_SUFFIXES = (
    ".zip",
    ".7z",
    ".rar",
    ".tar",
    ".tgz",
    ".tbz2",
    ".txz",
    ".bz2",
    ".xz",
    ".zst",
    ".gz",
    ".jar",
    ".iso",
)
_NESTED_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
# Compressed volumes are images, not archives.
_ALLOWED_SUFFIXES = (".nii.gz",)
_PART_BYTES = 255
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class ArchiveLimits:
    """How much an archive may hold.

    Attributes:
        files: Number of files. A large study has some thousands of slices.
        total_bytes: Sum of the unpacked sizes. 32 GiB hold sixty thousand slices of 512x512.
        ratio: Unpacked to packed size of one file. Label maps compress a few hundred times, deflate ends at 1032;
            bombs are built on that end.
        ratio_from_bytes: The ratio counts for files larger than this: a small blank file is no bomb.
    """

    files: int = 100_000
    total_bytes: int = 32 * _GIB
    ratio: float = 500.0
    ratio_from_bytes: int = 64 * 2**20


@contextmanager
def extracted(path: Path, limits: ArchiveLimits | None = None) -> Iterator[Path]:
    """Unpack a zip archive for the length of a block.

    Every member is judged before the first is written, and bytes are counted while unpacking, because the sizes in an
    archive are its author's claims. Hidden files and the `__MACOSX` folder are left out.

    Args:
        path: The archive.
        limits: What it may hold; the defaults when None.

    Yields:
        A private temporary folder (mode 0700), removed when the block ends. An archive without files gives an empty
        folder.

    Raises:
        InputRefused: `unreadable_file` (no zip, damaged, encrypted), `truncated_file`, `unsafe_archive` (a path that
            leads outside, a link, two members of one name, a nested archive, more than the limits).
    """
    bounds = limits or ArchiveLimits()
    with tempfile.TemporaryDirectory(prefix="denselens-") as folder:
        root = Path(folder)
        try:
            with zipfile.ZipFile(path) as archive:
                _unpack(archive, root, path, bounds)
        except _BROKEN as error:
            raise _broken(path, error) from error
        yield root


def _unpack(archive: zipfile.ZipFile, root: Path, path: Path, limits: ArchiveLimits) -> None:
    members = _judged(archive.infolist(), path, limits)
    free = shutil.disk_usage(root).free
    claimed = sum(info.file_size for info in members.values())
    if claimed > free:
        raise _unsafe(
            path, f"at most {free} bytes, which is what the temporary folder has room for", f"{claimed} bytes"
        )
    total = 0
    for name, info in members.items():
        target = root.joinpath(*name.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, target.open("xb") as sink:
            total += _copy(source, sink, min(info.file_size, limits.total_bytes - total), name, path)


def _copy(source: IO[bytes], sink: IO[bytes], allowed: int, name: PurePosixPath, path: Path) -> int:
    written = 0
    while chunk := source.read(_CHUNK_BYTES):
        if written == 0 and chunk.startswith(_NESTED_STARTS):
            raise _unsafe(path, "images", f"another archive, {name},")
        written += len(chunk)
        if written > allowed:
            raise _unsafe(path, "members of the size that is told", f"more than {allowed} bytes of {name}")
        sink.write(chunk)
    return written


def _judged(infos: list[zipfile.ZipInfo], path: Path, limits: ArchiveLimits) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files to unpack by their names."""
    if len(infos) > limits.files:
        raise _unsafe(path, f"at most {limits.files} files", f"{len(infos)}")
    members: dict[PurePosixPath, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    for info in infos:
        name = _safe_name(info, path)
        if info.is_dir() or any(part.startswith(".") or part == "__MACOSX" for part in name.parts):
            continue
        _check_member(info, name, path, limits)
        # Folders of Windows and macOS do not tell upper from lower case: one file would replace the other.
        if str(name).casefold() in seen:
            raise _unsafe(path, "each name once", f"{name} twice")
        seen.add(str(name).casefold())
        members[name] = info
    total = sum(info.file_size for info in members.values())
    if total > limits.total_bytes:
        raise _unsafe(path, f"at most {limits.total_bytes} bytes when unpacked", f"{total}")
    return members


def _safe_name(info: zipfile.ZipInfo, path: Path) -> PurePosixPath:
    # Old Windows programs write backslashes; on Windows they separate folders whoever wrote them.
    text = info.orig_filename.replace("\\", "/")
    name = PurePosixPath(text)
    if name.is_absolute() or ".." in name.parts or _DRIVE.match(text) or "\0" in text or not name.parts:
        raise _unsafe(path, "names that stay inside the archive's own folder", repr(info.orig_filename))
    if any(len(part.encode("utf-8", "surrogateescape")) > _PART_BYTES for part in name.parts):
        raise _unsafe(path, f"names of at most {_PART_BYTES} bytes", f"one that starts with {text[:40]!r}")
    return name


def _check_member(info: zipfile.ZipInfo, name: PurePosixPath, path: Path, limits: ArchiveLimits) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _unsafe(path, "plain files", f"a link or device, {name},")
    lowered = name.name.lower()
    if lowered.endswith(_NESTED_SUFFIXES) and not lowered.endswith(_ALLOWED_SUFFIXES):
        raise _unsafe(path, "images", f"another archive, {name},")
    if info.file_size > limits.ratio_from_bytes and info.file_size > limits.ratio * max(info.compress_size, 1):
        raise _unsafe(path, f"files packed at most {limits.ratio:g} to 1", f"{info.file_size} bytes in {name}")
    if info.flag_bits & 1:
        raise InputRefused(
            RefusalCode.UNREADABLE_FILE, "an archive without a password", f"{path}", "unpack it and hand the folder in"
        )


def _unsafe(path: Path, expected: str, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNSAFE_ARCHIVE,
        f"an archive of {expected}",
        f"{got} in {path}",
        "if you trust it, unpack it yourself and hand the folder in",
    )


def _broken(path: Path, error: Exception) -> InputRefused:
    if _starts_as_zip(path) and isinstance(error, zipfile.BadZipFile) and not zipfile.is_zipfile(path):
        return InputRefused(
            RefusalCode.TRUNCATED_FILE,
            "a zip archive with its table of contents at the end",
            f"none in {path}",
            "copy or download the archive again",
        )
    return InputRefused(
        RefusalCode.UNREADABLE_FILE,
        "a zip archive",
        f"{path} ({type(error).__name__}: {error})",
        "test it with an archive program, or copy it again",
    )


def _starts_as_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == _NESTED_STARTS[0]
    except OSError:
        return False
