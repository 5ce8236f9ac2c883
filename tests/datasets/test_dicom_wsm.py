"""Slides we write as DICOM: what wsidicom, pydicom and dicom3tools read is what the source held."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageCms
from pydicom.uid import JPEGBaseline8Bit
from wsidicom import WsiDicom

from datasets.errors import ConfigError
from datasets.io.dicom_wsm import WsmOptions, write_dicom_wsm
from datasets.io.slide_pyramid import ArraySource
from datasets.phantoms import slide_phantom

SIZE = (700.0, 450.0)


class Waves:
    """A smooth slide by formula."""

    size_um = SIZE

    def read(self, x_um: float, y_um: float, columns: int, rows: int, mpp: float) -> np.ndarray:
        x = (x_um + mpp * (np.arange(columns) + 0.5))[None, :, None]
        y = (y_um + mpp * (np.arange(rows) + 0.5))[:, None, None]
        phase = np.arange(3)
        return np.rint(120 + 60 * np.sin(x / 90 + phase) + 35 * np.cos(y / 70 - 2 * phase)).astype(np.uint8)


SLIDE = Waves()


def complaints(path: Path) -> list[str]:
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    assert "VLWholeSlideMicroscopyImage" in done.stdout + done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith(("Error", "Warning"))]


@pytest.mark.parametrize(("compression", "mean", "most"), [("none", 0, 0), ("jpeg", 1.5, 10)])
def test_wsidicom_reads_what_the_source_held(compression: str, mean: float, most: int, tmp_path: Path) -> None:
    options = WsmOptions(compression=compression, smallest_px=400)  # type: ignore[arg-type]
    files = write_dicom_wsm(SLIDE, tmp_path / "new", 0.5, options)
    assert [file.name for file in files] == ["level-0.dcm", "level-1.dcm", "level-2.dcm"]
    with WsiDicom.open(tmp_path / "new") as slide:
        assert [(level.size.width, level.size.height) for level in slide.levels] == [
            (1400, 900),
            (700, 450),
            (350, 225),
        ]
        assert (slide.mpp.width, slide.mpp.height) == (pytest.approx(0.5), pytest.approx(0.5))
        for level, mpp in enumerate((0.5, 1.0, 2.0)):
            for x, y, columns, rows in ((0, 0, 300, 200), (50, 25, 290, 190)):
                found = np.asarray(slide.read_region((x, y), level, (columns, rows)).convert("RGB")).astype(int)
                away = np.abs(found - SLIDE.read(x * mpp, y * mpp, columns, rows, mpp))
                assert away.mean() <= mean
                assert away.max() <= most


def test_the_header_tells_the_truth(tmp_path: Path) -> None:
    files = write_dicom_wsm(SLIDE, tmp_path, 0.5, WsmOptions(smallest_px=800))
    first, second = (pydicom.dcmread(file) for file in files)
    assert first.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert (first.TotalPixelMatrixColumns, first.TotalPixelMatrixRows) == (1400, 900)
    assert (first.NumberOfFrames, second.NumberOfFrames) == (6 * 4, 3 * 2)
    spacing = [
        dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing for dataset in (first, second)
    ]
    assert spacing == [[0.0005, 0.0005], [0.001, 0.001]]
    for dataset in (first, second):
        assert dataset.ImagedVolumeWidth == pytest.approx(0.7, rel=2e-3)
        assert dataset.ImagedVolumeHeight == pytest.approx(0.45, rel=2e-3)
        assert dataset.OpticalPathSequence[0].ObjectiveLensPower == 20
        assert dataset.DimensionOrganizationType == "TILED_FULL"
    assert first.ImageType[-1] == "NONE"
    assert second.ImageType == ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    profile = ImageCms.ImageCmsProfile(io.BytesIO(first.OpticalPathSequence[0].ICCProfile))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    ratio = (
        24
        * 256
        * 256
        * 3
        / sum(len(frame) for frame in pydicom.encaps.generate_frames(first.PixelData, number_of_frames=24))
    )
    assert float(first.LossyImageCompressionRatio) == pytest.approx(ratio, abs=0.01)


def test_the_offset_table_points_to_the_frames(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(write_dicom_wsm(SLIDE, tmp_path, 1.0)[0])
    offsets = pydicom.encaps.parse_basic_offsets(dataset.PixelData)
    assert len(offsets) == dataset.NumberOfFrames == 6
    # Frame 4 is the first tile of the second row.
    frame = pydicom.encaps.get_frame(dataset.PixelData, 3)
    tile = np.asarray(Image.open(io.BytesIO(frame)).convert("RGB")).astype(int)
    assert np.abs(tile[:194] - SLIDE.read(0, 256, 256, 194, 1.0)).mean() < 1.5
    assert tile[200:].min() > 245  # White beyond the slide.


def test_the_same_slide_gives_the_same_files(tmp_path: Path) -> None:
    one, other = (write_dicom_wsm(SLIDE, tmp_path / name, 2.0) for name in "ab")
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in other]
    third = write_dicom_wsm(SLIDE, tmp_path / "c", 2.0, WsmOptions(study="another"))
    assert pydicom.dcmread(third[0]).StudyInstanceUID != pydicom.dcmread(one[0]).StudyInstanceUID


def test_a_phantom_goes_through(tmp_path: Path) -> None:
    phantom = slide_phantom(3, (600.0, 600.0))
    write_dicom_wsm(phantom, tmp_path, 1.0, WsmOptions(compression="none"))
    with WsiDicom.open(tmp_path) as slide:
        found = np.asarray(slide.read_region((200, 210), 0, (200, 150)).convert("RGB")).astype(int)
        assert np.abs(found - phantom.read(200, 210, 200, 150, 1.0)).max() <= 1


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("compression", ["none", "jpeg"])
def test_dciodvfy_has_nothing_to_say(compression: str, tmp_path: Path) -> None:
    options = WsmOptions(compression=compression)  # type: ignore[arg-type]
    for file in write_dicom_wsm(SLIDE, tmp_path, 1.0, options):
        assert complaints(file) == []


@pytest.mark.parametrize(("shape", "tile_px"), [((40, 40), 256), ((40, 40, 4), 256), ((40, 40, 3), 255)])
def test_what_the_format_does_not_hold_is_refused(shape: tuple[int, ...], tile_px: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        write_dicom_wsm(ArraySource(np.ones(shape, dtype=np.uint8), 1.0), tmp_path, 1.0, WsmOptions(tile_px=tile_px))
    assert list(tmp_path.iterdir()) == []


def test_a_level_of_four_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.io.dicom_wsm._MOST_BYTES", 10_000)
    with pytest.raises(ConfigError, match="4 GB"):
        write_dicom_wsm(SLIDE, tmp_path, 2.0)
    assert list(tmp_path.iterdir()) == []
