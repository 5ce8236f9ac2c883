"""DICOM from real scanners."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from datasets.codes import RefusalCode, RepairCode
from datasets.io.dicom import read_studies
from datasets.io.dicom.frames import frames_of
from datasets.io.dicom.headers import scan
from datasets.io.dicom.pixels import FrameReader, modality_values
from datasets.study import Series

pytestmark = pytest.mark.real_data


def only_series(folder: Path) -> Series:
    (study,) = read_studies(sorted(folder.iterdir()), str(folder)).studies
    (series,) = study.series
    return series


def test_two_millimetres_whatever_the_thickness_says(shared_data: Path) -> None:
    folder = shared_data / "ct_abdomen" / "dicom_j2k"
    (study,) = read_studies(sorted(folder.iterdir()), str(folder)).studies
    loaded = study.series[0].load()
    assert study.uid == "dicom_j2k"
    assert {repair.code for repair in loaded.repairs} == {
        RepairCode.IDENTIFIERS_DERIVED,
        RepairCode.SPACING_FROM_POSITIONS,
    }
    assert loaded.image.grid.spacing_mm == pytest.approx((0.9765625, 0.9765625, 2.0), abs=1e-9)
    assert loaded.image.shape == (512, 512, 20)
    for k in (0, 19):
        path = Path(str(folder / f"CT.{loaded.source.datasets[k].SOPInstanceUID}"))  # type: ignore[union-attr]
        ds = pydicom.dcmread(path)
        assert np.array_equal(loaded.image.slices()[k], ds.pixel_array.astype(int) * ds.RescaleSlope - 1024)
        corner = np.array([*map(float, ds.ImagePositionPatient)]) * (-1, -1, 1)
        assert loaded.image.grid.points_mm((0, 0, k)) == pytest.approx(corner, abs=1e-6)


def test_padding_outside_the_circle_is_air(shared_data: Path) -> None:
    loaded = only_series(shared_data / "ct_seg_pair" / "ct").load()
    assert loaded.image.grid.spacing_mm == pytest.approx((0.810547, 0.810547, 1.0), abs=1e-5)
    first = pydicom.dcmread(shared_data / "ct_seg_pair" / "ct" / "01.dcm")
    padding = first.pixel_array == -2000
    k = 0 if float(first.ImagePositionPatient[2]) < float(loaded.image.grid.origin_mm[2]) + 0.5 else -1
    assert (loaded.image.slices()[k][padding] == -1024).all()
    assert np.array_equal(loaded.image.slices()[k][~padding], first.pixel_array[~padding].astype(int) - 1024)
    assert RepairCode.PADDING_REPLACED in {repair.code for repair in loaded.repairs}


def test_eight_syntaxes_give_the_same_hounsfield_units(shared_data: Path) -> None:
    instances = scan((shared_data / "ct_codecs").glob("*.dcm")).instances
    frames = [frames_of(instance)[0] for instance in instances]
    reader = FrameReader()
    values = [modality_values(reader.stored(frame), frame) for frame in frames]
    assert len({frame.instance.transfer_syntax for frame in frames}) == len(values) == 8
    assert all(np.array_equal(values[0], other) for other in values[1:])
    assert (values[0].min(), values[0].shape) == (-3024, (512, 512))


def test_films_with_one_identifier_are_refused_together_and_fine_alone(shared_data: Path) -> None:
    folder = shared_data / "chest_dicom"
    (study,) = read_studies(sorted(folder.iterdir()), str(folder)).studies
    assert study.refusal is not None
    assert study.refusal.code == RefusalCode.CONFLICTING_DUPLICATE
    images = {}
    for name in ("cr_monochrome2", "cr_monochrome1_same_pixels"):
        (study,) = read_studies([folder / f"{name}.dcm"], name).studies
        images[name] = study.series[0].load().image
    plain, inverse = images.values()
    assert np.array_equal(inverse.array, 255 - plain.array)
    assert plain.grid.spacing_mm == (0.168, 0.168, 1.0)
