"""Files of many pictures: read in batches, and refused where their content is odd or hostile."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.patch_stack import PatchStack, holds_labels_alone

PICTURES = np.random.default_rng(0).integers(0, 256, (7, 32, 24, 3), dtype=np.uint8)


def _refused(path: Path) -> RefusalCode:
    with pytest.raises(InputRefused) as told:
        PatchStack(path, "the file")
    assert "the file" in told.value.got
    return told.value.code


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize("options", [{}, {"chunks": (2, 32, 24, 3), "compression": "gzip"}], ids=str)
def test_batches_are_the_pictures_in_their_order(tmp_path: Path, size: int, options: dict[str, object]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=PICTURES, **options)
    with PatchStack(tmp_path / "a.h5", "a.h5") as stack:
        assert (len(stack), stack.shape) == (7, (32, 24, 3))
        batches = list(stack.batches(size))
        with pytest.raises(ValueError, match="batch"):
            next(stack.batches(0))
    assert [len(batch) for batch in batches] == [min(size, 7 - start) for start in range(0, 7, size)]
    assert np.array_equal(np.concatenate(batches), PICTURES)


@pytest.mark.parametrize("pictures", [PICTURES[..., 0], PICTURES[..., :1]], ids=["no axis", "one channel"])
def test_grey_pictures_have_one_channel(tmp_path: Path, pictures: np.ndarray) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = pictures
    with PatchStack(tmp_path / "a.h5", "a.h5") as stack:
        assert stack.shape == (32, 24, 1)
        assert np.array_equal(next(stack.batches(7)), PICTURES[..., :1])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (PICTURES.astype(np.uint16), RefusalCode.UNSUPPORTED_DIMENSIONS),
        (PICTURES[0, 0], RefusalCode.UNSUPPORTED_DIMENSIONS),
        (np.zeros((3, 8, 8, 4), np.uint8), RefusalCode.UNSUPPORTED_DIMENSIONS),
        (np.zeros((1, 5000, 2, 3), np.uint8), RefusalCode.UNSUPPORTED_DIMENSIONS),
        (np.zeros((0, 8, 8, 3), np.uint8), RefusalCode.EMPTY_IMAGE),
        (np.uint8(3), RefusalCode.UNSUPPORTED_DIMENSIONS),
        ("text", RefusalCode.UNSUPPORTED_DIMENSIONS),
    ],
    ids=["16 bits", "two axes", "four channels", "large", "none", "number", "text"],
)
def test_other_layouts_are_refused(tmp_path: Path, content: object, code: RefusalCode) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = content
    assert _refused(tmp_path / "a.h5") == code


def test_hostile_files_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = PICTURES
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["x"] = h5py.ExternalLink("other.h5", "x")
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout(PICTURES.shape, np.uint8)
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", PICTURES.shape)
        file.create_virtual_dataset("x", layout)
    (tmp_path / "raw").write_bytes(PICTURES.tobytes())
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("x", PICTURES.shape, np.uint8, external=[(str(tmp_path / "raw"), 0, PICTURES.nbytes)])
    with h5py.File(tmp_path / "group.h5", "w") as file:
        file.create_group("x")
    for name in ("link", "virtual", "external", "group"):
        assert _refused(tmp_path / f"{name}.h5") == RefusalCode.UNREADABLE_FILE
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("x", (2**40, 96, 96, 3), np.uint8, chunks=(1, 96, 96, 3))
    assert _refused(tmp_path / "huge.h5") == RefusalCode.NO_PIXEL_DATA
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        file.create_dataset("x", (2**18, 96, 96, 3), np.uint8, chunks=(2**17, 96, 96, 1), compression="gzip")
    assert _refused(tmp_path / "chunk.h5") == RefusalCode.UNSUPPORTED_DIMENSIONS
    (tmp_path / "text.h5").write_text("no pictures")
    assert _refused(tmp_path / "text.h5") == RefusalCode.UNREADABLE_FILE


def test_a_damaged_batch_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        found = file.create_dataset("x", data=PICTURES, chunks=(1, 32, 24, 3), compression="gzip")
        place = found.id.get_chunk_info(4)
    whole = bytearray((tmp_path / "a.h5").read_bytes())
    whole[place.byte_offset : place.byte_offset + place.size] = bytes(place.size)
    (tmp_path / "a.h5").write_bytes(whole)
    with PatchStack(tmp_path / "a.h5", "a.h5") as stack:
        batches = stack.batches(2)
        assert np.array_equal(next(batches), PICTURES[:2])
        next(batches)
        with pytest.raises(InputRefused) as told:
            next(batches)
    assert told.value.code == RefusalCode.UNREADABLE_TILE
    assert "pictures 4 to 5" in told.value.got


def test_labels_alone_are_told_from_pictures(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["y"] = np.zeros(5)
    with h5py.File(tmp_path / "both.h5", "w") as file:
        file["x"], file["y"] = PICTURES, np.zeros(7)
    (tmp_path / "text.h5").write_text("no pictures")
    assert [holds_labels_alone(tmp_path / f"{name}.h5") for name in ("y", "both", "text")] == [True, False, False]
