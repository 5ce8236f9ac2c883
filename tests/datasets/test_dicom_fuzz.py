"""Whatever bytes come: a DICOM folder is read right, read and told, or refused; never another error."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from datasets.errors import InputRefused
from datasets.image import Image
from datasets.io.dicom import DicomFindings, read_studies
from datasets.study import choose_series
from tests.datasets import scene
from tests.datasets.ct_files import enhanced, series
from tests.datasets.torture import CASES
from tests.datasets.torture_parts import encoded

SMALL = scene.Acquisition(offsets_mm=(0, 4, 8, 12, 16), rows=10, columns=12, row_gap_mm=12, column_gap_mm=12)
# The same examples each time: a new way to break a file is found by raising the number, never by chance.
fuzz = settings(max_examples=40, deadline=None, derandomize=True)


@cache
def _whole(kind: str) -> tuple[bytes, ...]:
    """Files of a small sound series, in the order of its slices."""
    if kind == "enhanced":
        return (encoded(enhanced(SMALL)),)
    if kind == "classic":
        return tuple(encoded(ds) for ds in series(SMALL))
    return tuple(ds if isinstance(ds, bytes) else encoded(ds) for ds in list(CASES[kind]().values())[:5])


def _open(files: dict[str, bytes]) -> tuple[DicomFindings, Image | None]:
    """What is found, and the scored image; None where it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in files]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        findings = read_studies(paths, "folder")
        images = []
        for study in findings.studies:
            try:
                images.append(choose_series(study, ("CT",), min_images=2)[0].load().image)
            except InputRefused:
                continue
        return findings, images[0] if images else None


def _names(contents: tuple[bytes, ...]) -> dict[str, bytes]:
    return {f"{place}.dcm": content for place, content in enumerate(contents)}


def _damaged(kind: str, place: int, damage: Callable[[bytes], bytes]) -> dict[str, bytes]:
    contents = list(_whole(kind))
    contents[place] = damage(contents[place])
    return _names(tuple(contents))


@fuzz
@given(st.permutations(range(5)), st.permutations(range(1, 6)), st.permutations("abcde"))
def test_neither_names_nor_numbers_nor_order_move_a_slice(
    order: list[int], numbers: list[int], names: list[str]
) -> None:
    datasets: list[Dataset] = series(SMALL)
    for ds, number in zip(datasets, numbers, strict=True):
        ds.InstanceNumber = number
    _, image = _open({names[place]: encoded(datasets[k]) for place, k in enumerate(order)})
    assert image is not None
    assert image.affine == pytest.approx(SMALL.affine(), abs=1e-3)
    assert np.array_equal(image.slices(), np.stack([SMALL.frame_hu(k) for k in range(5)]))


@pytest.mark.parametrize("kind", ["classic", "enhanced", "deflated", "j2k", "jpeg_lossless", "rle", "jpeg_ls"])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.floats(0, 1, exclude_max=True))
@example(0.0)
def test_a_file_cut_anywhere_is_never_read_as_whole(kind: str, part: float) -> None:
    place = len(_whole(kind)) // 2
    # The last bytes may be the padding of the last fragment or of the value: eight of them may go without a loss.
    _, image = _open(_damaged(kind, place, lambda whole: whole[: int(part * (len(whole) - 20))]))
    assert image is None


@pytest.mark.parametrize(
    "kind", ["classic", "enhanced", "deflated", "j2k", "jpeg_lossless", "rle", "jpeg_ls", "implicit"]
)
@fuzz
@given(st.data())
def test_flipped_bytes_raise_nothing_but_refusals(kind: str, data: st.DataObject) -> None:
    whole = _whole(kind)
    size = len(whole[0])
    # Pixels fill most of a file, but tags are where a reader stumbles.
    place = st.one_of(st.integers(0, min(size, 1600) - 1), st.integers(0, size - 1))
    flips = data.draw(st.lists(st.tuples(place, st.integers(1, 255)), min_size=1, max_size=4))

    def flip(content: bytes) -> bytes:
        bytes_ = bytearray(content)
        for at, mask in flips:
            bytes_[min(at, len(bytes_) - 1)] ^= mask
        return bytes(bytes_)

    _, image = _open(_damaged(kind, len(whole) // 2, flip))
    assert image is None or np.isfinite(image.array).all()


def test_a_class_of_thousands_of_letters_names_nothing() -> None:
    # The flip makes the rest of the header the value of the class.
    place = len(_whole("enhanced")) // 2
    findings, image = _open(_damaged("enhanced", place, lambda whole: _flipped(whole, 162, 8)))
    assert image is None
    refusals = [str(study.refusal) for study in findings.studies if study.refusal is not None]
    assert refusals
    assert max(map(len, refusals)) < 500


def _flipped(content: bytes, at: int, mask: int) -> bytes:
    return content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]


@fuzz
@given(st.binary(max_size=300), st.booleans())
def test_bytes_that_mean_nothing_are_no_image(content: bytes, marked: bool) -> None:
    _, image = _open({"a.dcm": bytes(128) + b"DICM" + content if marked else content})
    assert image is None
