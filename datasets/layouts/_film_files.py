"""Films and other pictures in folders: found by name, and opened when they are needed."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.dicom import read_studies
from datasets.io.picture import SUFFIXES as PICTURE_SUFFIXES
from datasets.io.picture import read_picture
from datasets.study import Loaded, Projection, Series, Study, choose_series

__all__ = ["FILM_SUFFIXES", "PICTURE_SUFFIXES", "FilmFile", "film_names", "film_series", "film_study", "films_below"]

FILM_SUFFIXES = (*PICTURE_SUFFIXES, ".dcm", ".dicom")


@dataclass(frozen=True)
class FilmFile:
    """Reads one film, PNG, JPEG or DICOM by its name; picklable.

    Attributes:
        path: Where it lies.
    """

    path: Path

    def __call__(self) -> Loaded:
        """Read it.

        Raises:
            InputRefused: It cannot be read.
        """
        if self.path.suffix.lower() in PICTURE_SUFFIXES:
            return read_picture(self.path)
        studies = read_studies([self.path], str(self.path)).studies
        if not studies:
            raise InputRefused(
                RefusalCode.UNREADABLE_FILE, "a DICOM film", f"no DICOM in {self.path}", "copy or download it again"
            )
        return choose_series(studies[0], ())[0].load()


def films_below(root: Path) -> dict[str, Path]:
    """Every film in a folder and its subfolders that is not hidden, by its path below the folder with "/", sorted.

    No link is followed into a folder already seen.
    """
    films: dict[str, Path] = {}
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        below = Path(folder).relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        for name in sorted(names):
            if name.lower().endswith(FILM_SUFFIXES) and not name.startswith("."):
                films[prefix + name] = Path(folder, name)
    return films


def film_names(paths: Sequence[str]) -> list[str]:
    """A name for each of some paths: that of the file without its ending, or the whole path where two have that.

    Args:
        paths: Of files with an ending, "/" between folders; each once.

    Returns:
        In the same order, with "-" in place of "/".
    """
    whole = [path.rpartition(".")[0] for path in paths]
    stems = [path.rpartition("/")[2] for path in whole]
    often = Counter(stem.casefold() for stem in stems)
    return [
        stem if often[stem.casefold()] == 1 else path.replace("/", "-") for stem, path in zip(stems, whole, strict=True)
    ]


def film_series(path: Path, projection: Projection = "") -> Series:
    """The series of one film; nothing is read before its pixels are asked for.

    Args:
        path: Where it lies.
        projection: What is known of it from elsewhere.
    """
    return Series(
        uid=path.stem,
        modality="",
        description=f"{path.suffix[1:].upper()} picture",
        images=1,
        grid=None,
        repairs=(),
        refusal=None,
        read=FilmFile(path),
        projection=projection,
    )


def film_study(uid: str, path: Path, projection: Projection = "") -> Study:
    """A study of one film, as `film_series`."""
    return Study(uid, str(path), (film_series(path, projection),))
