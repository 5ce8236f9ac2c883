"""A public set into a folder: what is missing is fetched, checked and unpacked; what is there is left alone."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets.downloads.catalogue import PublicFile, PublicSet
from datasets.downloads.fetch import DownloadError, Manners, Progress, check_room, fetch, writing_to
from datasets.downloads.unpack import unpack
from datasets.io.atomic import write_text

RECEIPT = "download.json"
Status = Literal["fetched", "resumed", "there_before"]


@dataclass(frozen=True)
class Delivered:
    """One file of a set, unpacked.

    Attributes:
        file: Of the catalogue.
        path: Where it, or what was in it, lies.
        status: How it came there.
    """

    file: PublicFile
    path: Path
    status: Status


def download(
    wanted: PublicSet, folder: Path, progress: Progress, manners: Manners | None = None
) -> tuple[Delivered, ...]:
    """Bring a set into a folder; called again, it goes on where it stopped.

    What is whole and unpacked is noted in `download.json`, with its checksum, so that it is not fetched again.

    Args:
        wanted: The set.
        folder: Made when missing.
        progress: Is told about every piece of every file.
        manners: Towards the servers.

    Raises:
        DownloadError: A file cannot be had, is not what it should be, would replace a folder, or there is no
            room; those before it stay.
    """
    delivered = []
    if wanted.about_bytes is not None and not folder.exists():
        # An archive is there twice while it is unpacked; better told now than after a day.
        twice = any(file.packing == "tar" for file in wanted.files)
        check_room(_nearest(folder), wanted.about_bytes * (2 if twice else 1))
    for file in wanted.files:
        path = folder / file.unpacked
        if _noted(folder).get(file.name) == file.checksum and path.exists():
            delivered.append(Delivered(file, path, "there_before"))
            continue
        if file.packing == "tar" and path.exists():
            # Somebody may have worked on it.
            raise DownloadError("no folder of that name", f"{path}", "move it away, or use it as it is")
        fetched = fetch(file.url, folder / file.name, file.checksum, progress, manners)
        path = unpack(fetched.path, file.packing)
        _note(folder, wanted, file)
        delivered.append(Delivered(file, path, "resumed" if fetched.resumed else "fetched"))
    return tuple(delivered)


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that exists."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def _noted(folder: Path) -> dict[str, str]:
    """Checksums by name of the files that were unpacked here; none where the note cannot be read."""
    try:
        files = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))["files"]
        return {str(name): str(checksum) for name, checksum in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _note(folder: Path, wanted: PublicSet, file: PublicFile) -> None:
    files = _noted(folder) | {file.name: file.checksum}
    note = {"licence": wanted.licence, "citation": wanted.citation, "set": wanted.name, "files": files}
    with writing_to(folder):
        write_text(folder / RECEIPT, json.dumps(note, indent=2, sort_keys=True) + "\n")
