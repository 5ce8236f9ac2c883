"""A plane lies where PS3.3 C.7.6.2.1.1 puts it."""

import numpy as np

from datasets.dicom_source import Plane


def _plane() -> Plane:
    return Plane(
        instance=0,
        frame=1,
        position_mm=np.array([-100.0, -50.0, 30.0]),
        along_row=np.array([0.0, 1.0, 0.0]),
        along_column=np.array([0.0, 0.0, -1.0]),
        spacing_mm=(2.0, 0.5),
        size=(10, 20),
    )


def test_a_pixels_place_follows_the_standards_equation() -> None:
    # P = IPP + column * PixelSpacing[1] * row cosine + row * PixelSpacing[0] * column cosine in LPS; RAS flips x, y.
    lps = np.array([-100.0, -50.0 + 7 * 0.5, 30.0 - 3 * 2.0])
    ras = _plane().affine @ [7, 3, 0, 1]
    np.testing.assert_allclose(ras[:3], lps * (-1, -1, 1))


def test_the_normal_is_row_cross_column() -> None:
    # +P x -S: y x (-z) = -x.
    np.testing.assert_allclose(_plane().normal, [-1.0, 0.0, 0.0])
    away = _plane().affine @ [0, 0, 5, 1] - _plane().affine @ [0, 0, 0, 1]
    np.testing.assert_allclose(away[:3], [5.0, 0.0, 0.0])
