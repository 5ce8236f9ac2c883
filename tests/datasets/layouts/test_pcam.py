"""PatchCamelyon: patches, labels and slides in the same order, without reading a patch to list it."""

import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest

from datasets.codes import RefusalCode
from datasets.defects import DefectCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import Example, FindingsTruth
from datasets.layouts import pcam
from tests.datasets.layouts import small_sets


def _mean(example: Example) -> float:
    return float(example.study.series[0].load().image.array.mean())


def test_patches_labels_and_slides_belong_together(tmp_path: Path) -> None:
    found = pcam.read(small_sets.pcam(tmp_path))
    assert (found.labels, found.defects) == (("tumor",), ())
    assert [e.name for e in found.examples] == [
        *(f"test-{i}" for i in range(3)),
        *(f"train-{i}" for i in range(6)),
        *(f"valid-{i}" for i in range(4)),
    ]
    for example in found.examples:
        word, _, number = example.name.partition("-")
        assert example.truth == FindingsTruth({"tumor": float(int(number) % 2)})
        assert example.split == {"train": "train", "valid": "validation", "test": "test"}[word]
        assert example.patient == f"camelyon16_{word}_tumor_{int(number) // 2:03d}"
        assert _mean(pickle.loads(pickle.dumps(example))) == int(number)  # noqa: S301 - our own
    image = found.examples[0].study.series[0].load().image
    assert (image.array.shape, image.affine) == ((3, 5, 4, 1), None)


def test_other_processes_read_patches_too(tmp_path: Path) -> None:
    found = pcam.read(small_sets.pcam(tmp_path))
    assert _mean(found.examples[0]) == 0.0
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as workers:
        assert list(workers.map(_mean, found.examples[:3])) == [0.0, 1.0, 2.0]


def test_without_slides_every_patch_stands_alone(tmp_path: Path) -> None:
    found = pcam.read(small_sets.pcam(tmp_path, {"train": 3}, wsi=False))
    assert [e.patient for e in found.examples] == ["train-0", "train-1", "train-2"]
    assert found.defects == ()


@pytest.mark.parametrize(
    ("change", "code", "gravity", "left"),
    [
        ("no labels", DefectCode.LABELS_MISSING, "error", 4),
        ("fewer labels", DefectCode.UNREADABLE_LABELS, "error", 4),
        ("other labels", DefectCode.UNREADABLE_LABELS, "error", 4),
        ("broken labels", DefectCode.UNREADABLE_LABELS, "error", 4),
        ("fewer slides", DefectCode.UNREADABLE_LABELS, "warning", 7),
        ("broken patches", DefectCode.UNREADABLE_IMAGE, "error", 4),
    ],
)
def test_what_does_not_fit_is_told(change: str, code: DefectCode, gravity: str, left: int, tmp_path: Path) -> None:
    root = small_sets.pcam(tmp_path, {"train": 3, "valid": 4})
    stem = f"{root}/camelyonpatch_level_2_split_train"
    if change == "no labels":
        Path(f"{stem}_y.h5").unlink()
    elif change.startswith("broken"):
        Path(f"{stem}_{'y' if 'labels' in change else 'x'}.h5").write_bytes(b"no")
    elif change == "fewer slides":
        Path(f"{stem}_meta.csv").write_text("wsi\na\n")
    else:
        with h5py.File(f"{stem}_y.h5", "w") as file:
            file["y"] = np.array([0, 1] if change == "fewer labels" else [0, 1, 2])
    found = pcam.read(root)
    assert [(d.code, d.gravity) for d in found.defects] == [(code, gravity)]
    assert found.defects[0].where.startswith("camelyonpatch_level_2_split_train")
    assert len(found.examples) == left


def test_a_damaged_patch_is_refused_when_it_is_read(tmp_path: Path) -> None:
    root = tmp_path
    noise = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)
    path = root / "split_train_x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=noise, chunks=(1, 64, 64, 3), compression="gzip")
        where = [file["x"].id.get_chunk_info(i).byte_offset for i in range(2)]
    with h5py.File(root / "split_train_y.h5", "w") as file:
        file["y"] = np.zeros(2, np.uint8)
    content = bytearray(path.read_bytes())
    content[where[1] : where[1] + 40] = bytes(40)
    path.write_bytes(content)
    found = pcam.read(root)
    assert (found.examples[0].study.series[0].load().image.array[:, 0, 0, 0] == noise[0, 0, 0]).all()
    with pytest.raises(InputRefused) as caught:
        found.examples[1].study.series[0].load()
    assert caught.value.code is RefusalCode.UNREADABLE_TILE


def test_nothing_is_refused(tmp_path: Path) -> None:
    assert not pcam.recognises(tmp_path)
    assert not pcam.recognises(tmp_path / "none")
    with pytest.raises(ConfigError, match="unpack"):
        pcam.read(tmp_path)


def test_tens_of_thousands_of_patches_are_listed_in_seconds(tmp_path: Path) -> None:
    number = 30_000
    with h5py.File(tmp_path / "split_train_x.h5", "w") as file:
        file["x"] = np.zeros((number, 1, 1, 3), np.uint8)
    with h5py.File(tmp_path / "split_train_y.h5", "w") as file:
        file["y"] = np.arange(number) % 2
    start = time.process_time()
    found = pcam.read(tmp_path)
    # Ten times what it takes: this tells a file that is opened for each patch, and nothing finer.
    assert time.process_time() - start < 5
    assert len(found.examples) == number
    assert len({id(e.truth) for e in found.examples}) == 2
