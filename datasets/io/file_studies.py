"""Studies of a single file: a NIfTI volume, a picture or many, a slide, or something that could not be read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.nifti import SUFFIXES as NIFTI_SUFFIXES
from datasets.io.nifti import read_header, read_nifti
from datasets.io.patch_stack import SUFFIXES as STACK_SUFFIXES
from datasets.io.patch_stack import holds_labels_alone, stack_series
from datasets.io.picture import SUFFIXES as PICTURE_SUFFIXES
from datasets.io.picture import read_picture, read_picture_header
from datasets.io.picture_set import SUFFIXES as SET_SUFFIXES
from datasets.io.picture_set import picture_studies
from datasets.io.slide.opening import SUFFIXES as SLIDE_SUFFIXES
from datasets.io.slide_studies import slide_series
from datasets.study import Loaded, Series, Study

__all__ = ["FILE_SUFFIXES", "check_readable", "file_studies", "is_beside", "refused_study", "stem"]

FILE_SUFFIXES = (*NIFTI_SUFFIXES, *PICTURE_SUFFIXES, *SLIDE_SUFFIXES, *STACK_SUFFIXES, *SET_SUFFIXES)


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


def file_studies(file: Path, source: str) -> tuple[Study, ...]:
    """The studies of one file, by what its header says; pixels are read when a series is loaded.

    Args:
        file: Where the file lies; its name ends in one of `FILE_SUFFIXES`.
        source: What the caller calls it.

    Returns:
        A study of one series, named after the file; one for every picture of a NumPy archive; a refused one where the
        header cannot be used.
    """
    try:
        check_readable(file, source)
        if file.name.lower().endswith(SET_SUFFIXES):
            return picture_studies(file, source)
        return (Study(stem(file), source, (_series(file, source),)),)
    except InputRefused as refusal:
        return (refused_study(file, source, refusal),)


def is_beside(file: Path) -> bool:
    """Whether a file holds no pictures and belongs to another one that does, such as their labels."""
    return file.name.lower().endswith(STACK_SUFFIXES) and holds_labels_alone(file)


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


def _series(file: Path, source: str) -> Series:
    lowered = file.name.lower()
    if lowered.endswith(NIFTI_SUFFIXES):
        return _nifti_series(file, source)
    if lowered.endswith(SLIDE_SUFFIXES):
        return slide_series(file, source, stem(file))
    if lowered.endswith(STACK_SUFFIXES):
        return stack_series(file, source, stem(file))
    return _picture_series(file, source)


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
