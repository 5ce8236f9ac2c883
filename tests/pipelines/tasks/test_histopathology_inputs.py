"""What histopathology takes: files of slides, pictures of parts, patches, files of many, and what it refuses."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image as Pillow

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, InputRefused
from datasets.io.dicom_wsm import write_dicom_wsm
from datasets.io.discover import open_inputs
from datasets.io.slide_tiff import PyramidOptions, write_pyramid_tiff
from datasets.picture_slide import PictureSlide
from networks.configs import Input
from pipelines.model_store import Card
from pipelines.task import load_task
from tests.pipelines.slide_scene import (
    PLAIN,
    SCENE,
    STROMA,
    TUMOR,
    FormulaSlide,
    Scene,
    codes,
    examine,
    quantity,
    slide_study,
    tumor_in_most_of_the_middle,
    written,
)

TRUE_MM2 = sum(tumor.area_mm2 for tumor in SCENE.tumors)
REPOSITORY = Path(__file__).resolve().parents[3]


def test_files_of_a_slide_say_what_the_slide_says(tmp_path) -> None:
    at_20x = examine(slide_study(FormulaSlide()), network=tumor_in_most_of_the_middle)
    write_pyramid_tiff(FormulaSlide(), tmp_path / "slide.svs", 0.5, PyramidOptions(aperio=True))
    write_dicom_wsm(FormulaSlide(), tmp_path / "dicom", 0.5)
    for path in (tmp_path / "slide.svs", tmp_path / "dicom"):
        with open_inputs([path]) as inventory:
            said = examine(inventory.studies[0], network=tumor_in_most_of_the_middle)
        for label in ("tissue", "tumor"):
            assert quantity(said, label, "area") == pytest.approx(quantity(at_20x, label, "area"), rel=0.01)
        assert [f.location.component for f in said.findings] == [1, 2]


def test_the_card_tells_input_calibration_and_operating_point() -> None:
    card = Card(
        name="some",
        task="histopathology",
        trained_on="",
        limits="",
        phantom=True,
        labels=("tumor",),
        operating_points={"tumor": 0.9},
        calibration={"tumor": (0.5, -1.0)},
        input=Input(scale="", channels=3, size_px=96, low=-1.0),
    )
    task = load_task("histopathology", PLAIN[:-1])
    suited = task.suited_to(card)
    assert suited.input == card.input
    # sigmoid(0.5 * logit(0.9) - 1)
    assert suited.threshold == pytest.approx(1 / (1 + np.exp(1) / 3))
    assert task.suited_to(None) == task
    own = load_task("histopathology", [*PLAIN[:-1], "threshold=0.3", "calibration=[1.0, 0.0]"]).suited_to(card)
    assert (own.threshold, own.calibration) == (0.3, (1.0, 0.0))
    with pytest.raises(ConfigError, match="patches of 96 pixels"):
        load_task("histopathology", [*PLAIN[:-1], "patch_px=64"]).suited_to(card)


def test_a_stated_pixel_size_is_taken_and_told() -> None:
    with pytest.raises(InputRefused, match="micrometres per pixel") as refused:
        examine(slide_study(FormulaSlide(mpp=None)))
    assert refused.value.code is RefusalCode.NO_SPACING
    assert "--set mpp=" in refused.value.advice
    said = examine(slide_study(FormulaSlide(mpp=None)), "mpp=0.5", network=tumor_in_most_of_the_middle)
    assert quantity(said, "tumor", "area") == pytest.approx(TRUE_MM2, rel=0.03)
    assert "mpp_stated" in codes(said)


def test_a_coarse_slide_is_told_and_a_coarser_one_refused() -> None:
    said = examine(slide_study(FormulaSlide(mpp=1.6, steps=(1, 4))))
    assert "resolution_too_coarse" in codes(said)
    assert quantity(said, "tumor", "count") == 2
    with pytest.raises(InputRefused, match=r"at most 1\.94 um per pixel") as refused:
        examine(slide_study(FormulaSlide(mpp=2.0, steps=(1, 4))))
    assert refused.value.code is RefusalCode.RESOLUTION_TOO_COARSE


def test_glass_alone_is_refused() -> None:
    empty = Scene((900.0, 700.0), replace(SCENE.tissue, x=-5000), ())
    with pytest.raises(InputRefused, match=r"0\.00 mm2") as refused:
        examine(slide_study(FormulaSlide(empty)))
    assert refused.value.code is RefusalCode.NO_TISSUE


def patch(colour, size: int = 96) -> np.ndarray:
    pixels = np.empty((size, size, 3), dtype=np.uint8)
    pixels[...] = STROMA
    pixels[size // 2 - 2 : size // 2 + 2, size // 2 - 2 : size // 2 + 2] = colour
    return pixels


@pytest.mark.parametrize(("colour", "positive"), [(TUMOR, True), (STROMA, False)])
def test_a_picture_of_a_patchs_size_is_a_patch(tmp_path, colour, positive) -> None:
    Pillow.fromarray(patch(colour)).save(tmp_path / "patch.png")
    with open_inputs([tmp_path / "patch.png"]) as inventory:
        said = examine(inventory.studies[0])
    [finding] = said.findings
    assert finding.positive is positive
    assert finding.location is None
    assert codes(said) == {"stain_not_normalised"}


def test_a_larger_picture_needs_its_pixel_size_and_is_a_slide_then(tmp_path) -> None:
    pixels = SCENE.render(*((np.arange(round(size)) + 0.5) for size in SCENE.size_um))
    Pillow.fromarray(pixels).save(tmp_path / "region.png")
    with open_inputs([tmp_path / "region.png"]) as inventory:
        with pytest.raises(InputRefused) as refused:
            examine(inventory.studies[0])
        assert "--set mpp=" in refused.value.advice
        said = examine(inventory.studies[0], "mpp=1.0", network=tumor_in_most_of_the_middle)
    assert quantity(said, "tumor", "area") == pytest.approx(TRUE_MM2, rel=0.03)
    assert said.slide.size_px == (1600, 1200)


def test_grey_pictures_are_refused(tmp_path) -> None:
    Pillow.fromarray(np.zeros((96, 96), dtype=np.uint8)).save(tmp_path / "grey.png")
    with open_inputs([tmp_path / "grey.png"]) as inventory, pytest.raises(InputRefused, match="in colour"):
        examine(inventory.studies[0])


def test_a_file_of_patches_becomes_a_table(tmp_path) -> None:
    colours = [TUMOR, STROMA, STROMA, TUMOR, STROMA, TUMOR, TUMOR]
    with h5py.File(tmp_path / "camelyonpatch.h5", "w") as file:
        file["x"] = np.stack([patch(colour) for colour in colours])
    with open_inputs([tmp_path / "camelyonpatch.h5"]) as inventory:
        said = examine(inventory.studies[0], "batch=3")
    assert (quantity(said, "patch", "count"), quantity(said, "tumor", "count")) == (7, 4)
    lines = written(said, tmp_path)["patches"].read_text().splitlines()
    assert lines[0] == "index,raw_probability,probability,positive"
    assert [int(line.split(",")[-1]) for line in lines[1:]] == [1, 0, 0, 1, 0, 1, 1]
    with h5py.File(tmp_path / "small.h5", "w") as file:
        file["x"] = np.stack([patch(TUMOR, 64)])
    with open_inputs([tmp_path / "small.h5"]) as inventory, pytest.raises(InputRefused, match="96 x 96"):
        examine(inventory.studies[0])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stride_px=31"], "in the middle of a patch"),
        (["look_first_px=64"], "squares of 1, 3, 5"),
        (["look_first_px=80"], "squares of 1, 3, 5"),
        (["network.out_channels=3"], "one logit"),
        (["network.in_channels=1"], "in colour"),
        (["stride_px=96"], "set refiner: null"),
        (["refiner.network.in_channels=1"], "set refiner.network"),
        (["tissue.min_saturation=0.5"], "swap them"),
        (["mpp=0"], "greater than 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(overrides, message) -> None:
    with pytest.raises(ConfigError, match=message):
        load_task("histopathology", overrides)


_LARGE = """
import resource
from pipelines.run import Pipeline
from pipelines.task import load_task
from tests.pipelines.slide_scene import Ellipse, FormulaSlide, Scene, slide_study

scene = Scene((25000.0, 25000.0), Ellipse(9000, 16000, 2600, 2100), (Ellipse(9000, 16000, 700, 500),))
slide = FormulaSlide(scene, mpp=0.25, steps=(1, 4, 16), sparse=True)
pipeline = Pipeline.load(load_task("histopathology", ["weights=null", "refiner=null", "look_closer_from=1.0"]), "cpu")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = pipeline.run(slide_study(slide))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(slide.size_px, before // 1024, after // 1024)
print([q.value for q in result.quantities])
"""


@pytest.mark.slow
def test_a_slide_of_100_000_by_100_000_pixels_takes_less_than_2_gb() -> None:
    done = subprocess.run([sys.executable, "-c", _LARGE], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    *size, _, after_mib = done.stdout.splitlines()[0].replace("(", "").replace(")", "").replace(",", "").split()
    assert size == ["100000", "100000"]
    assert int(after_mib) < 2048


def test_nothing_of_a_slide_is_left_open() -> None:
    closed = []

    class Counted(PictureSlide):
        def close(self):
            closed.append(self.name)

    slide = Counted([SCENE.render(*((np.arange(size) + 0.5) for size in (1600, 1200)))], 1.0)
    examine(slide_study(slide))
    with pytest.raises(InputRefused):
        examine(slide_study(slide), "mpp=9.0")
    assert len(closed) == 2
