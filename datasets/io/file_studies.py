"""Studies of a single file: a NIfTI volume, a picture, or something that could not be read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.nifti import SUFFIXES as NIFTI_SUFFIXES
from datasets.io.nifti import read_header, read_nifti
from datasets.io.picture import SUFFIXES as PICTURE_SUFFIXES
from datasets.io.picture import read_picture, read_picture_header
from datasets.study import Loaded, Series, Study

__all__ = ["NIFTI_SUFFIXES", "PICTURE_SUFFIXES", "check_readable", "file_study", "refused_study", "stem"]


@dataclass(frozen=True)
class _Reader:
    """Reads a file and speaks of it by the name the caller knows (an unpacked archive lies under another)."""

    read: Callable[[Path], Loaded]
    file: Path
    source: str

    def __call__(self) -> Loaded:
        try:
            return self.read(self.file)
        except InputRefused as refusal:
            raise _retold(refusal, self.file, self.source) from refusal


def file_study(file: Path, source: str) -> Study:
    """The study of one NIfTI file or picture, by what its header says; pixels are read when the series is loaded.

    Args:
        file: Where the file lies; its name ends in one of the suffixes.
        source: What the caller calls it.

    Returns:
        A study of one series, named after the file; a refused one where the header cannot be used.
    """
    make = _nifti_series if file.name.lower().endswith(NIFTI_SUFFIXES) else _picture_series
    try:
        check_readable(file, source)
        series = make(file, source)
    except InputRefused as refusal:
        return refused_study(file, source, refusal)
    return Study(stem(file), source, (series,))


def refused_study(file: Path, source: str, refusal: InputRefused) -> Study:
    """A study that stands for something that cannot be read."""
    return Study(stem(file), source, (), refusal=_retold(refusal, file, source))


def stem(file: Path) -> str:
    """The file's name without its ending, ".nii.gz" being one ending."""
    return file.name[:-7] if file.name.lower().endswith(".nii.gz") else file.stem


def check_readable(path: Path, source: str) -> None:
    """Tell a missing path from a forbidden one, before a reader tells it worse.

    Raises:
        InputRefused: `unreadable_file`.
    """
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            path.open("rb").close()
    except OSError as error:
        raise InputRefused(
            RefusalCode.UNREADABLE_FILE,
            "a file or folder that can be read",
            f"{source}: {error.strerror or type(error).__name__}",
            "check the path" if isinstance(error, FileNotFoundError) else "check that you may read it",
        ) from error


def _nifti_series(file: Path, source: str) -> Series:
    header = read_header(file)
    return Series(
        uid=stem(file),
        modality="",
        description="NIfTI",
        images=header.grid.shape[2],
        grid=header.grid,
        repairs=header.repairs,
        refusal=None,
        read=_Reader(read_nifti, file, source),
    )


def _picture_series(file: Path, source: str) -> Series:
    header = read_picture_header(file)
    return Series(
        uid=stem(file),
        modality="",
        description=f"{header.kind}, {header.columns} x {header.rows} pixels",
        images=1,
        grid=None,
        repairs=(),
        refusal=None,
        read=_Reader(read_picture, file, source),
    )


def _retold(refusal: InputRefused, file: Path, source: str) -> InputRefused:
    return InputRefused(refusal.code, refusal.expected, refusal.got.replace(str(file), source), refusal.advice)
