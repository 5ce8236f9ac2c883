"""Why no folder is handed to another library's series reader: on bent but ordinary series they are silently wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.datasets.ct_files import write
from tests.datasets.torture import CASES

TRUE_GAP_MM = 4.0


def _gap_by_monai(folder: Path) -> float:
    from monai.data import PydicomReader  # noqa: PLC0415 - monai takes seconds to import

    reader = PydicomReader()
    _, meta = reader.get_data(reader.read(folder))
    return float(np.linalg.norm(meta["affine"][:3, 2]))


def _gap_by_simpleitk(folder: Path) -> float:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return float(reader.Execute().GetSpacing()[2])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("gap_by", [_gap_by_monai, _gap_by_simpleitk])
def test_other_readers_are_right_about_a_plain_series(gap_by: Callable[[Path], float], tmp_path: Path) -> None:
    write(CASES["plain"](), tmp_path)
    assert gap_by(tmp_path) == pytest.approx(TRUE_GAP_MM)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("gap_by", "name", "true_gap_mm"),
    [
        (_gap_by_monai, "missing_slice", TRUE_GAP_MM),
        (_gap_by_monai, "huge_gap", TRUE_GAP_MM),
        (_gap_by_monai, "localizer", TRUE_GAP_MM),
        (_gap_by_monai, "two_series", TRUE_GAP_MM),
        (_gap_by_monai, "duplicate_slice", TRUE_GAP_MM),
        (_gap_by_simpleitk, "missing_slice", TRUE_GAP_MM),
        (_gap_by_simpleitk, "huge_gap", TRUE_GAP_MM),
        (_gap_by_simpleitk, "localizer", TRUE_GAP_MM),
        (_gap_by_simpleitk, "duplicate_slice", TRUE_GAP_MM),
        # SimpleITK's grid is a box, so the distance that counts is the one along the normal.
        (_gap_by_simpleitk, "tilt", TRUE_GAP_MM * np.cos(np.radians(15))),
    ],
)
def test_other_readers_are_silently_wrong(
    gap_by: Callable[[Path], float], name: str, true_gap_mm: float, tmp_path: Path
) -> None:
    write(CASES[name](), tmp_path)
    assert abs(gap_by(tmp_path) - true_gap_mm) > 0.1
