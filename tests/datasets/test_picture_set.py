"""NumPy archives of pictures: every picture a study, nothing unpickled, nothing allocated on a claim."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.image import Intensity
from datasets.io import picture_set
from datasets.io.picture_set import picture_studies

GREY = np.random.default_rng(0).integers(0, 256, (11, 28, 20), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (3, 28, 20, 3), dtype=np.uint8)


def _refused(path: Path) -> RefusalCode:
    with pytest.raises(InputRefused) as told:
        picture_studies(path, "the file")
    assert "the file" in told.value.got
    return told.value.code


def test_pictures_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez_compressed(path, train_images=GREY, test_images=COLOUR, train_labels=np.zeros((11, 1)))
    studies = picture_studies(path, "set.npz")
    assert [study.uid for study in studies][9:13] == ["set-train-09", "set-train-10", "set-test-0", "set-test-1"]
    assert studies[0].series[0].description == "NPZ, 20 x 28 pixels, grey"
    for index, study in enumerate(studies):
        series = pickle.loads(pickle.dumps(study.series[0]))  # noqa: S301 - our own bytes
        image = series.load().image
        truth = GREY[index] if index < 11 else COLOUR[index - 11]
        assert image.intensity == (Intensity.GREY if index < 11 else Intensity.COLOUR)
        assert image.affine is None
        assert np.array_equal(image.array[..., 0].transpose(2, 1, 0).reshape(truth.shape), truth)


@pytest.mark.parametrize(
    ("key", "uid"), [("images", "set-00"), ("x", "set-00"), ("x_test", "set-test-00"), ("val_images", "set-val-00")]
)
def test_names_of_arrays_say_the_split(tmp_path: Path, key: str, uid: str) -> None:
    np.savez(tmp_path / "set.npz", **{key: GREY})
    assert picture_studies(tmp_path / "set.npz", "set.npz")[0].uid == uid


def test_the_file_is_read_once_for_all_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, images=GREY)
    read, reads = npy.read_array, []
    monkeypatch.setattr(npy, "read_array", lambda *a, **k: reads.append(1) or read(*a, **k))
    studies = picture_studies(path, "set.npz")
    assert not reads
    for study in studies:
        study.series[0].load()
    assert len(reads) == 1
    np.savez(path, images=255 - GREY)
    assert np.array_equal(studies[2].series[0].load().image.array[0, :, :, 0], 255 - GREY[2].T)


def test_a_file_that_was_exchanged_for_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, images=GREY)
    studies = picture_studies(path, "set.npz")
    np.savez(path, images=GREY[:5])
    with pytest.raises(InputRefused) as told:
        studies[10].series[0].load()
    assert told.value.code == RefusalCode.TRUNCATED_FILE


def _claim(path: Path, shape: tuple[int, ...], content: bytes, dtype: str = "|u1") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("images.npy", "w") as member:
        npy.write_array_header_1_0(member, {"descr": dtype, "fortran_order": False, "shape": shape})
        member.write(content)
    return path


def test_hostile_archives_are_refused(tmp_path: Path) -> None:
    objects = np.empty(2, dtype=object)
    objects[:] = [_Bomb(), _Bomb()]
    np.savez(tmp_path / "objects.npz", images=objects)
    assert _refused(tmp_path / "objects.npz") == RefusalCode.UNREADABLE_FILE
    with zipfile.ZipFile(tmp_path / "pickle.npz", "w") as archive:
        archive.writestr("images.npy", pickle.dumps(_Bomb()))
    assert _refused(tmp_path / "pickle.npz") == RefusalCode.UNREADABLE_FILE
    assert _refused(_claim(tmp_path / "huge.npz", (2**40, 28, 28), b"0" * 99)) == RefusalCode.UNSAFE_ARCHIVE
    assert _refused(_claim(tmp_path / "short.npz", (100, 28, 28), b"0" * 99)) == RefusalCode.TRUNCATED_FILE
    assert _refused(_claim(tmp_path / "long.npz", (1, 2, 2), b"0" * 99)) == RefusalCode.TRUNCATED_FILE
    assert _refused(_claim(tmp_path / "many.npz", (600_000, 1, 1), b"0" * 600_000)) == RefusalCode.UNSAFE_ARCHIVE
    assert not _Bomb.exploded


def test_blank_pictures_packed_a_thousand_to_one_are_a_bomb_when_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _claim(tmp_path / "blank.npz", (4, 500, 500), bytes(10**6))
    assert len(picture_studies(path, "the file")) == 4
    monkeypatch.setattr(picture_set, "_RATIO_FROM_BYTES", 10**5)
    monkeypatch.setattr(picture_set, "_LARGEST_RATIO", 500)
    assert _refused(path) == RefusalCode.UNSAFE_ARCHIVE


class _Bomb:
    exploded = False

    def __reduce__(self) -> tuple[object, ...]:
        return setattr, (_Bomb, "exploded", True)


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"images": GREY.astype(np.float32)}, RefusalCode.UNSUPPORTED_DIMENSIONS),
        ({"images": GREY[0]}, RefusalCode.UNSUPPORTED_DIMENSIONS),
        ({"images": np.zeros((2, 8, 8, 8), np.uint8)}, RefusalCode.UNSUPPORTED_DIMENSIONS),
        ({"images": GREY[:0]}, RefusalCode.EMPTY_IMAGE),
        ({"labels": GREY}, RefusalCode.UNREADABLE_FILE),
    ],
    ids=["floats", "one", "volumes", "none", "labels"],
)
def test_other_layouts_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], code: RefusalCode) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    assert _refused(tmp_path / "a.npz") == code


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, images=GREY)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert _refused(path) == RefusalCode.UNREADABLE_FILE
    changed = bytearray(whole)
    changed[1000] ^= 0xFF
    path.write_bytes(changed)
    with pytest.raises(InputRefused) as told:
        picture_studies(path, "the file")[0].series[0].load()
    assert told.value.code == RefusalCode.UNREADABLE_FILE
