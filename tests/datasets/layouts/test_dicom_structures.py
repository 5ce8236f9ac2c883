"""RT Structure Sets in trees of DICOM series: `datasets.layouts.dicom_segmentations` reads them."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.defects import DefectCode
from datasets.layouts import open_dataset
from datasets.layouts.dicom_segmentations import read
from tests.datasets.layouts.dicom_sets import BOX, GRID, boxes, ct, headers, seg, told, truth
from tests.datasets.rtstruct_files import CLOSED, circle, ellipsoid, inside_ellipsoid, on_slice, write_rtstruct


def structures(folder: Path, path: Path, extra: Sequence[tuple[str, NDArray[np.float64]]] = ()) -> Path:
    rois = {
        "Liver": [*ellipsoid(GRID, (11, 9, 4), (14, 11, 9)), *extra],
        "GTV": ellipsoid(GRID, (11, 9, 4), (5, 5, 5)),
        "Isocentre": [("POINT", on_slice(GRID, 4, circle(0.0, 1)))],
    }
    return write_rtstruct(path, rois, headers(folder))


def test_a_structure_set_becomes_a_label_map_with_the_tumour_in_the_liver(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct")
    structures(folder, tmp_path / "rs.dcm")
    found = open_dataset(tmp_path)
    assert (found.layout, found.labels, found.defects) == ("dicom_segmentations", ("Liver", "GTV"), ())
    example = pickle.loads(pickle.dumps(found.examples[0]))  # noqa: S301 - what a worker process is handed
    label_map = example.truth.read()
    assert label_map.grid.matches(example.study.series[0].load().image.grid)
    expected = inside_ellipsoid(GRID, (11, 9, 4), (14, 11, 9)).astype(np.uint8)
    expected[inside_ellipsoid(GRID, (11, 9, 4), (5, 5, 5))] = 2
    assert np.count_nonzero(label_map.slices() != expected) <= 4


def test_structures_are_examples_of_their_own_beside_segments(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct")
    seg(folder, tmp_path / "seg.dcm", boxes((1, BOX)))
    structures(folder, tmp_path / "rs.dcm")
    found = read(tmp_path)
    assert len({example.name for example in found.examples}) == 2
    assert {tuple(truth(e).names.values()) for e in found.examples} == {("liver", "liver_tumor"), ("Liver", "GTV")}


def test_outlines_beside_the_slices_are_told(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct")
    structures(
        folder, tmp_path / "tilted.dcm", [(CLOSED, on_slice(GRID, 4, circle(3.0)) + np.linspace(0, 5, 180)[:, None])]
    )
    structures(folder, tmp_path / "beyond.dcm", [(CLOSED, on_slice(GRID, 9.0, circle(3.0, centre=(9, 9))))])
    found = read(tmp_path)
    assert found.examples == ()
    assert told(found) == [(DefectCode.GEOMETRY_MISMATCH, "error")] * 2
    drawn = [(CLOSED, on_slice(GRID, k + 0.3, circle(4.0, centre=(9, 9)))) for k in (1, 2, 5)]
    write_rtstruct(tmp_path / "set" / "rs.dcm", {"a": drawn}, headers(ct(tmp_path / "set" / "ct")))
    found = read(tmp_path / "set")
    assert (len(found.examples), told(found)) == (1, [(DefectCode.GEOMETRY_MISMATCH, "warning")])
    assert "0.30 slices beside" in found.defects[0].found
    assert "2 slices between" in found.defects[0].found
