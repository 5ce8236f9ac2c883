"""DICOM whole slide microscopy: found by its SOP class, read in micrometres from the corner of its matrix."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from wsidicom import WsiDicom

from datasets.codes import RefusalCode, RepairCode
from datasets.errors import InputRefused
from datasets.io.discover import open_inputs
from datasets.io.slide.wsm import WsmSlide
from datasets.slide import Slide
from datasets.study import Series
from tests.datasets import slide_files as files

RAMP = files.ramp(200, 150)
LEVELS = [RAMP, files.halved(RAMP), files.halved(RAMP, 4)]


def _series(path: Path) -> Series:
    with open_inputs([path]) as inventory:
        (study,) = inventory.studies
        (series,) = study.series
    return series


def _slide(series: Series) -> Slide:
    assert series.refusal is None
    assert series.slide is not None
    return series.slide()


def test_a_folder_of_levels_is_one_slide(tmp_path: Path) -> None:
    files.write_wsm(tmp_path / "slide", LEVELS, mpp=(0.5, 0.5))
    series = _series(tmp_path / "slide")
    assert (series.modality, series.images) == ("SM", 1)
    assert series.description.startswith("DICOM WSM, 200 x 150 pixels, 3 levels, 0.5 um per pixel")
    with _slide(pickle.loads(pickle.dumps(series))) as slide:  # noqa: S301 - our own bytes
        assert (slide.kind, slide.size_px, slide.mpp) == ("DICOM WSM", (200, 150), (0.5, 0.5))
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        assert np.array_equal(slide.read(0, 0, 200, 150, 0.5), RAMP)
        assert np.array_equal(slide.read(0, 0, 100, 75, 1.0), LEVELS[1])
        assert np.array_equal(slide.read(0, 0, 50, 37, 2.0), LEVELS[2])
        for mpp in (0.4, 0.97, 1.7):
            read = slide.read(11.3, 7.9, 15, 10, mpp)
            x = 11.3 + (np.arange(15) + 0.5) * mpp
            assert np.abs(read[..., 0] - (20 + 200 * x / 100)).max() <= 1.05


def test_jpeg_frames_are_what_wsidicom_reads(tmp_path: Path) -> None:
    written = files.write_wsm(tmp_path, LEVELS[:1], jpeg=True)
    with _slide(_series(tmp_path)) as slide, WsiDicom.open(written) as other:
        truth = np.asarray(other.read_region((0, 0), 0, (200, 150)))[..., :3]
        read = slide.read(0, 0, 200, 150, 0.5)
    assert np.array_equal(read, truth)
    assert np.abs(read.astype(int) - RAMP).mean() <= 2


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    files.write_wsm(tmp_path, LEVELS[:1], mpp=(0.25, 0.5))
    with _slide(_series(tmp_path)) as slide:
        assert slide.mpp == (0.25, 0.5)
        assert slide.size_um == (50.0, 75.0)


def test_frames_that_a_sparse_slide_leaves_out_are_white(tmp_path: Path) -> None:
    files.write_wsm(tmp_path, LEVELS[:1], sparse_without=frozenset({(0, 1), (2, 3)}))
    truth = RAMP.copy()
    truth[:64, 64:128] = truth[128:, 192:] = 255
    with _slide(_series(tmp_path)) as slide:
        assert np.array_equal(slide.read(0, 0, 200, 150, 0.5), truth)
        assert slide.overview(2.0).unreadable_tiles == 0


def test_a_slide_that_does_not_tell_its_pixel_size_is_told_so(tmp_path: Path) -> None:
    files.write_wsm(tmp_path, LEVELS, mpp=None)
    series = _series(tmp_path)
    assert "um per pixel unknown" in series.description
    with _slide(series) as slide, pytest.raises(InputRefused) as told:
        slide.read(0, 0, 5, 5, 1.0)
    assert told.value.code == RefusalCode.NO_SPACING
    with _slide(series) as slide:
        assert np.array_equal(slide.with_mpp(0.5).read(0, 0, 100, 75, 1.0), LEVELS[1])


def test_labels_and_overviews_are_no_levels(tmp_path: Path) -> None:
    written = files.write_wsm(tmp_path, LEVELS)
    label = pydicom.dcmread(written[2])
    label.ImageType = ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]
    label.save_as(written[2])
    with _slide(_series(tmp_path)) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2]
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(written[2], alone)
    refusal = _series(alone).refusal
    assert refusal is not None
    assert refusal.code == RefusalCode.NOT_AN_IMAGE_OBJECT


def test_a_damaged_frame_is_refused_and_counted(tmp_path: Path) -> None:
    (path,) = files.write_wsm(tmp_path, LEVELS[:1], jpeg=True)
    whole = bytearray(path.read_bytes())
    starts = [at for at in range(len(whole) - 3) if whole[at : at + 3] == b"\xff\xd8\xff"]
    for at in range(starts[5] + 700, starts[6] - 12):
        whole[at] = 0
    path.write_bytes(whole)
    with _slide(_series(tmp_path)) as slide:
        with pytest.raises(InputRefused) as told:
            slide.read(35.0, 35.0, 10, 10, 0.5)
        assert told.value.code == RefusalCode.UNREADABLE_TILE
        assert "tile (1, 1) of level 0" in told.value.got
        assert slide.overview(2.0).unreadable_tiles == 1


def test_a_cut_level_is_no_smaller_slide(tmp_path: Path) -> None:
    written = files.write_wsm(tmp_path, LEVELS)
    written[0].write_bytes(written[0].read_bytes()[:-20_000])
    refusal = _series(tmp_path).refusal
    assert refusal is not None
    assert refusal.code == RefusalCode.TRUNCATED_FILE


def test_a_level_that_wsidicom_passes_over_is_not_passed_over_here(tmp_path: Path) -> None:
    written = files.write_wsm(tmp_path, LEVELS)
    finest = pydicom.dcmread(written[0])
    finest.PhotometricInterpretation = "YBR_PARTIAL_420"
    finest.save_as(written[0])
    with pytest.raises(InputRefused) as told:
        WsmSlide(written, "the slide")
    assert told.value.code == RefusalCode.UNREADABLE_FILE
    with pytest.raises(InputRefused):
        WsmSlide([tmp_path / "absent.dcm"], "the slide")


def test_several_optical_paths_are_refused(tmp_path: Path) -> None:
    (path,) = files.write_wsm(tmp_path, LEVELS[:1])
    header = pydicom.dcmread(path)
    second = pydicom.Dataset()
    second.OpticalPathIdentifier = "1"
    header.OpticalPathSequence.append(second)
    header.NumberOfOpticalPaths = 2
    header.NumberOfFrames *= 2
    header.PixelData = header.PixelData * 2
    header.save_as(path)
    with pytest.raises(InputRefused) as told:
        WsmSlide([path], "the slide")
    assert told.value.code == RefusalCode.UNSUPPORTED_DIMENSIONS


def test_copies_of_a_file_count_once_and_conflicts_are_refused(tmp_path: Path) -> None:
    written = files.write_wsm(tmp_path, LEVELS)
    shutil.copy(written[0], tmp_path / "copy.dcm")
    series = _series(tmp_path)
    assert [repair.code for repair in series.repairs] == [RepairCode.DUPLICATE_SLICE_DROPPED]
    with _slide(series) as slide:
        assert len(slide.levels) == 3
    other = pydicom.dcmread(written[1])
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.1"
    other.save_as(tmp_path / "copy.dcm")
    refusal = _series(tmp_path).refusal
    assert refusal is not None
    assert refusal.code == RefusalCode.CONFLICTING_DUPLICATE


def test_a_small_slide_is_an_image_too_and_a_large_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_wsm(tmp_path, LEVELS, mpp=(0.25, 0.5))
    series = _series(tmp_path)
    image = series.load().image
    assert np.array_equal(image.array[:, :, :, 0], RAMP.transpose(2, 1, 0))
    assert image.affine is not None
    assert np.allclose(np.diag(image.affine)[:2], (0.00025, 0.0005))
    monkeypatch.setattr("datasets.io.slide_image.LARGEST_IMAGE_PX", 29_999)
    with pytest.raises(InputRefused) as told:
        series.load()
    assert told.value.code == RefusalCode.WRONG_MODALITY
    assert "--task histopathology" in told.value.advice
