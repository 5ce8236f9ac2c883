"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Lend a temporary name beside `path`; what was written there takes the final name when the block ends well.

    The temporary file lies in the same folder (a rename across file systems is not atomic), is hidden and ends in
    ".tmp". When the block raises, it is removed and a file that already stood under the final name is untouched.

    Args:
        path: The final name; its folder is made when missing.

    Yields:
        A name where nothing exists yet, for the block to write to.

    Raises:
        OSError: The folder cannot be written to.
        FileNotFoundError: The block wrote nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole; empty content gives an empty file.

    Raises:
        OSError: The folder cannot be written to.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a text file whole, in UTF-8 with line ends as they are in `content`.

    Raises:
        OSError: The folder cannot be written to.
    """
    write_bytes(path, content.encode("utf-8"))


def _sync(path: Path) -> None:
    """Have the content on the disk before the name points to it: a power cut must not leave an empty file."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders, and journals renames itself.
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
