"""Slides, stacks and sets of pictures among the inputs."""

import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from app.commands.inspect import describe
from datasets.codes import RefusalCode, RepairCode
from datasets.errors import InputRefused
from datasets.image import Intensity
from datasets.io.discover import open_inputs
from datasets.io.patch_stack import PatchStack
from datasets.slide import Slide
from tests.datasets import slide_files as files

RAMP = files.ramp(300, 200)


def test_every_slide_is_a_study_named_after_its_file(tmp_path: Path) -> None:
    files.write_pyramid(tmp_path / "a.tif", [RAMP, files.halved(RAMP)])
    files.write_pyramid(tmp_path / "b.svs", [RAMP], mpp=None)
    files.write_wsm(tmp_path / "dicom", [RAMP])
    with open_inputs([tmp_path]) as inventory:
        studies = {study.uid: study for study in inventory.studies}
        assert sorted(studies) == ["1.2.3.1", "a", "b"]
        assert all(study.series[0].modality == "SM" for study in studies.values())
        assert studies["a"].series[0].description == "tiled TIFF, 300 x 200 pixels, 2 levels, 0.25 um per pixel"
        assert "um per pixel unknown" in studies["b"].series[0].description
        for study in studies.values():
            opener = pickle.loads(pickle.dumps(study.series[0])).slide  # noqa: S301 - our own bytes
            with opener() as slide:
                assert isinstance(slide, Slide)
                assert np.array_equal(slide.with_mpp(1.0).read(0, 0, 300, 200, 1.0), RAMP)


def test_slides_in_an_archive_are_told_by_the_archives_name(tmp_path: Path) -> None:
    files.write_pyramid(tmp_path / "a.tif", [RAMP], mpp=None)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(tmp_path / "a.tif", "sub/a.tif")
    with open_inputs([tmp_path / "all.zip"]) as inventory:
        (study,) = inventory.studies
        opener = study.series[0].slide
        assert opener is not None
        with opener() as slide, pytest.raises(InputRefused) as told:
            slide.read(0, 0, 5, 5, 1.0)
    assert f"{tmp_path / 'all.zip'}/sub/a.tif" in told.value.got


def test_a_plain_small_tiff_is_a_picture_and_a_slide(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "colour.tif", RAMP, photometric="rgb")
    tifffile.imwrite(tmp_path / "grey.tiff", RAMP[..., 0], photometric="minisblack")
    with open_inputs([tmp_path]) as inventory:
        colour, grey = inventory.studies
        assert (colour.series[0].modality, grey.series[0].modality) == ("", "")
        assert colour.series[0].slide is not None
        image = colour.series[0].load().image
        assert (image.intensity, image.affine) == (Intensity.COLOUR, None)
        assert np.array_equal(image.array[..., 0], RAMP.transpose(2, 1, 0))
        image = grey.series[0].load().image
        assert (image.intensity, image.shape) == (Intensity.GREY, (300, 200, 1))
        assert np.array_equal(image.array[0, :, :, 0], RAMP[..., 0].T)


def test_a_broken_slide_is_a_refused_study_beside_sound_ones(tmp_path: Path) -> None:
    files.write_pyramid(tmp_path / "a.tif", [RAMP])
    (tmp_path / "b.svs").write_bytes(b"nothing")
    (tmp_path / "c.ndpi").write_bytes(b"nothing")
    with open_inputs([tmp_path]) as inventory:
        a, b, c = inventory.studies
    assert a.refusal is None
    for broken in (b, c):
        assert broken.refusal is not None
        assert broken.refusal.code == RefusalCode.UNREADABLE_FILE
    with pytest.raises(InputRefused), open_inputs([tmp_path / "b.svs"]):
        pass


def test_a_stack_is_one_study_and_its_labels_are_none(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 96, 96, 3), dtype=np.uint8)
    with h5py.File(tmp_path / "test_x.h5", "w") as file:
        file["x"] = pictures
    with h5py.File(tmp_path / "test_y.h5", "w") as file:
        file["y"] = np.zeros((5, 1, 1, 1), np.uint8)
    with open_inputs([tmp_path]) as inventory:
        (study,) = inventory.studies
        assert [repair.code for repair in inventory.repairs] == [RepairCode.NON_IMAGE_OBJECTS_IGNORED]
        series = pickle.loads(pickle.dumps(study.series[0]))  # noqa: S301 - our own bytes
        assert (study.uid, series.images) == ("test_x", 5)
        with series.stack() as stack:
            assert isinstance(stack, PatchStack)
            assert np.array_equal(np.concatenate(list(stack.batches(2))), pictures)
        with pytest.raises(InputRefused) as told:
            series.load()
    assert told.value.code == RefusalCode.WRONG_MODALITY
    with pytest.raises(InputRefused), open_inputs([tmp_path / "test_y.h5"]):
        pass


def test_every_picture_of_a_set_is_a_study(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "films.npz", test_images=pictures, test_labels=np.zeros((12, 1)), val_images=pictures[:1])
    with open_inputs([tmp_path / "films.npz"]) as inventory:
        uids = [study.uid for study in inventory.studies]
        assert uids == [*(f"films-test-{n:02d}" for n in range(12)), "films-val-0"]
        for number in (0, 7):
            image = inventory.studies[number].series[0].load().image
            assert np.array_equal(image.array[0, :, :, 0], pictures[number].T)


def test_inspect_tells_size_levels_and_pixel_size_without_reading_a_slide(tmp_path: Path) -> None:
    path = files.write_pyramid(tmp_path / "a.svs", [RAMP, files.halved(RAMP)], mpp=0.5)
    with open_inputs([path]) as inventory:
        report = describe(path, inventory)
    (series,) = report["studies"][0]["series"]
    assert "300 x 200 pixels, 2 levels, 0.5 um per pixel" in series["description"]
    assert (series["pixels"], series["refusal"]) == (None, None)
    assert report["counts"]["usable_series"] == 1
