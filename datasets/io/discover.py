"""From what a person names to the studies in it: folders, archives, single files, and lists of all of these.

The unit is the study. DICOM files are grouped by what their headers say; every NIfTI file, picture and slide is a study
of its own, named after the file, and so is every picture of a NumPy archive. One broken study never hides the others:
it becomes a `Study` with a refusal.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import InputRefused
from datasets.io.archive import extracted
from datasets.io.dicom import read_studies
from datasets.io.file_studies import FILE_SUFFIXES, check_readable, file_studies, is_beside, refused_study
from datasets.io.study_names import named_apart
from datasets.study import Study

LIST_SUFFIXES = (".txt", ".list")

_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
_IGNORED_SUFFIXES = frozenset(
    {".txt", ".list", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".xml", ".html", ".htm"}
    | {".pdf", ".doc", ".docx", ".xls", ".xlsx", ".log", ".ini", ".inf", ".db", ".lnk", ".url", ".py", ".sh", ".m"}
    | {".md5", ".sha1", ".sha256", ".tmp", ".bak", ".bval", ".bvec"}
)
_IGNORED_NAMES = frozenset({"license", "licence", "readme", "notice", "copying", "changelog", "authors", "makefile"})


@dataclass(frozen=True)
class Inventory:
    """What the inputs hold.

    Attributes:
        studies: All studies in the order of the inputs, refused ones too; their uids differ and are fit for folder
            names.
        repairs: What was decided about the inputs as a whole, such as files that are no images and were passed over.
    """

    studies: tuple[Study, ...]
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True)
class _Place:
    """Files in a folder, and the name their folder has for the caller (archives lie elsewhere while they are open)."""

    root: Path
    name: str

    def told(self, file: Path) -> str:
        inside = file.relative_to(self.root).as_posix()
        return self.name if inside == "." else f"{self.name}/{inside}"


@dataclass(frozen=True)
class _Found:
    studies: tuple[Study, ...] = ()
    repairs: tuple[Repair, ...] = ()

    def __add__(self, other: "_Found") -> "_Found":
        return _Found(self.studies + other.studies, self.repairs + other.repairs)


@contextmanager
def open_inputs(inputs: Sequence[Path]) -> Iterator[Inventory]:
    """Find the studies in some inputs; archives stay unpacked until the block ends.

    An input is a DICOM folder (with all its subfolders), a folder of such folders, a folder of NIfTI files, pictures or
    slides, a .zip of any of these, one NIfTI, PNG, JPEG, TIFF, slide or DICOM file, many pictures in a .npz or .h5, or
    a text file (.txt, .list) that names them: one path a line, relative to the text file's folder, with `#` before
    comments. In folders, hidden files and documents (.txt, .csv, .json, README …) are passed over in silence, other
    files that are no images with a note. An input named twice counts once. No symbolic link is followed into a folder
    already seen.

    Args:
        inputs: Paths as the caller gave them; they come back in `Study.source`.

    Yields:
        The inventory. Pixels must be loaded before the block ends.

    Raises:
        InputRefused: No input can be used as a whole: the reason of the first. Codes: `unreadable_file` (missing, no
            permission, no image), `empty_input` (nothing that could be read in a folder, archive or list),
            `unsafe_archive`, `truncated_file`, and what a reader says of a single file.
    """
    with ExitStack() as stack:
        if not inputs:
            raise _empty("no path at all")
        found, refusals = _Found(), []
        for path in _once(inputs):
            try:
                here = _input(path, stack)
            except InputRefused as refusal:
                here = _Found((refused_study(path, str(path), refusal),))
            # A single file that cannot be read is an input that fails as a whole.
            reasons = [study.refusal for study in here.studies if study.refusal is not None and not study.series]
            refusals.append(reasons[0] if len(here.studies) == len(reasons) == 1 else None)
            found += here
        if (first := refusals[0]) is not None and None not in refusals:
            raise first
        yield Inventory(named_apart(found.studies), found.repairs)


def _once(inputs: Sequence[Path]) -> list[Path]:
    first: dict[Path, Path] = {}
    for path in inputs:
        first.setdefault(path.absolute(), path)
    return list(first.values())


def _input(path: Path, stack: ExitStack, in_list: bool = False) -> _Found:
    check_readable(path, str(path))
    if path.is_dir():
        return _folder(_Place(path, str(path)), stack)
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return _archive(path, str(path), stack)
    if suffix in LIST_SUFFIXES and not in_list:
        return _listed(path, stack)
    return _single(path)


def _single(path: Path) -> _Found:
    found = _files([path], _Place(path, str(path)))
    if found.studies:
        return found
    raise _no_image(str(path))


def _archive(path: Path, name: str, stack: ExitStack) -> _Found:
    return _folder(_Place(stack.enter_context(extracted(path)), name), stack)


def _listed(path: Path, stack: ExitStack) -> _Found:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise _no_image(f"{path}, which is no text in UTF-8") from error
    # A path may hold a '#': only one at the start of a line or behind a space begins a comment.
    texts = [f" {line}".partition(" #")[0].strip() for line in lines]
    entries = _once([path.parent / text for text in texts if text])
    if not entries:
        raise _empty(f"a list without a path, {path}")
    found = _Found()
    for entry in entries:
        try:
            found += _input(entry, stack, in_list=True)
        except InputRefused as refusal:
            found += _Found((refused_study(entry, str(entry), refusal),))
    return found


def _folder(place: _Place, stack: ExitStack) -> _Found:
    files = _walk(place)
    found = _files([file for file in files if file.suffix.lower() != ".zip"], place)
    for file in files:
        if file.suffix.lower() == ".zip":
            try:
                found += _archive(file, place.told(file), stack)
            except InputRefused as refusal:
                found += _Found((refused_study(file, place.told(file), refusal),))
    if not found.studies:
        raise _empty(f"none among {len(files)} files in {place.name}")
    return found


def _walk(place: _Place) -> list[Path]:
    """All files below a folder that are not hidden, by path."""
    files: list[Path] = []
    seen: set[str] = set()
    walk = os.walk(place.root, onerror=partial(_refuse_folder, place), followlinks=True)
    for folder, folders, names in walk:
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        files += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(files)


def _refuse_folder(place: _Place, error: OSError) -> None:
    raise InputRefused(
        RefusalCode.UNREADABLE_FILE,
        "a folder that may be read",
        f"{error.strerror} for {place.told(Path(error.filename))}",
        "ask its owner for permission to read it",
    ) from error


def _files(files: Sequence[Path], place: _Place) -> _Found:
    by_file: list[Study] = []
    candidates, beside = [], []
    for file in files:
        if file.name.lower().endswith(FILE_SUFFIXES):
            if len(files) > 1 and is_beside(file):
                beside.append(file)
            else:
                by_file += file_studies(file, place.told(file))
        elif len(files) == 1 or not _is_document(file):
            candidates.append(file)
    return _dicom(candidates, place) + _Found(tuple(by_file), _told_ignored(beside, place))


def _is_document(file: Path) -> bool:
    return file.suffix.lower() in _IGNORED_SUFFIXES or file.stem.lower() in _IGNORED_NAMES


def _dicom(files: Sequence[Path], place: _Place) -> _Found:
    if not files:
        return _Found()
    allowed, studies = [], []
    for file in files:
        try:
            check_readable(file, place.told(file))
            allowed.append(file)
        except InputRefused as refusal:
            studies.append(refused_study(file, place.told(file), refusal))
    findings = read_studies(allowed, place.name)
    ignored = []
    for file in findings.not_dicom:
        if file.suffix.lower() in _DICOM_SUFFIXES:
            # It may be a slice that is missing from a volume, so it is not passed over in silence.
            studies.append(refused_study(file, place.told(file), _no_image(place.told(file))))
        else:
            ignored.append(file)
    return _Found((*findings.studies, *studies), _told_ignored(ignored, place))


def _told_ignored(files: Sequence[Path], place: _Place) -> tuple[Repair, ...]:
    if not files or files[0] == place.root:
        return ()
    message = f"{len(files)} files that are no images were passed over, such as {place.told(files[0])}"
    return (Repair(RepairCode.NON_IMAGE_OBJECTS_IGNORED, message),)


def _no_image(got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNREADABLE_FILE,
        "a DICOM, NIfTI, PNG, JPEG, TIFF, slide, .npz, .h5 or zip file, or a text file (.txt) that lists them",
        got,
        "check the path and that the file opens in a viewer",
    )


def _empty(got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.EMPTY_INPUT,
        "DICOM, NIfTI, PNG, JPEG, TIFF or slide files",
        got,
        "check the path; other formats must be converted first",
    )
