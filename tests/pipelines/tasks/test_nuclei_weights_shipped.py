"""What the shipped weights of nuclei do: on phantoms by formula, and on real micrographs nobody trained on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from datasets.image import Image, Intensity
from datasets.io.picture import read_picture_header
from datasets.phantoms.nuclei import NucleiPhantom, nuclei_phantom
from pipelines.metrics.iou import iou
from pipelines.metrics.panoptic import panoptic_quality
from pipelines.model_store import find_weights, read_card
from pipelines.nuclei_check import Checked, check_nuclei, summary
from pipelines.nuclei_data import Labelled, read_case, read_labelled, split
from pipelines.results import Result
from pipelines.run import Pipeline
from pipelines.task import load_task
from tests.pipelines.micrograph_scene import grey, quantities, study, written


@pytest.fixture(scope="module")
def shipped() -> Pipeline:
    return Pipeline.load(load_task("nuclei"), "cpu")


def instances(result: Result, folder: Path) -> np.ndarray:
    return np.asarray(Pillow.open(written(result, "instances", folder / "instances.png")))


def seen_as(phantom: NucleiPhantom, how: str) -> Image:
    """A phantom's picture without its spacing, in another mode."""
    array = phantom.image().array
    if how == "inverted":
        array = 255 - array
    if how == "16 bits":
        array = array.astype(np.uint16) * 37 + 500
    if how == "colour" and len(array) == 1:
        array = np.repeat(array, 3, axis=0)
    return Image(array, Intensity.GREY if len(array) == 1 else Intensity.COLOUR)


@pytest.mark.parametrize("stain", ["fluorescence", "haematoxylin"])
@pytest.mark.parametrize("how", ["as it is", "inverted"])
def test_phantoms_are_counted_and_measured(shipped: Pipeline, stain: str, how: str, tmp_path: Path) -> None:
    if (stain, how) == ("haematoxylin", "inverted"):
        pytest.skip("no microscope shows sections in false colours; only grey ones are promised either way")
    phantom = nuclei_phantom(30, count=30, shape_px=(256, 224), stain=stain)
    truth = phantom.instances()
    result = shipped.run(study(seen_as(phantom, how)))
    found = instances(result, tmp_path)
    assert quantities(result)["count"][0] == pytest.approx(truth.max(), rel=0.1)
    assert quantities(result)["area_total"][0] == pytest.approx(np.count_nonzero(truth), rel=0.15)
    assert iou(found > 0, truth > 0) > 0.8
    assert panoptic_quality(found, truth).recognition > 0.9


@pytest.mark.parametrize("how", ["16 bits", "colour"])
def test_depth_and_channels_do_not_matter(shipped: Pipeline, how: str) -> None:
    phantom = nuclei_phantom(31, count=15, shape_px=(160, 128), stain="fluorescence")
    plain, other = (shipped.run(study(seen_as(phantom, one))) for one in ("as it is", how))
    assert plain.segmentation_sha256 == other.segmentation_sha256
    assert quantities(plain) == quantities(other)


def test_nothing_is_found_where_nothing_is(shipped: Pipeline) -> None:
    rng = np.random.default_rng(8)
    blank = grey(np.zeros((128, 160), bool))
    noise = Image(rng.normal(100, 4, (1, 160, 128, 1)).round().astype(np.uint8), Intensity.GREY)
    for image in (blank, noise):
        result = shipped.run(study(image))
        assert quantities(result)["covered_fraction"][0] < 0.002
        assert not result.findings[0].positive


def of_one_size(folder: Path, columns: int, rows: int) -> list[Labelled]:
    """Fields are told among pictures of one size, so the split of these is that of the whole set."""
    cases = []
    for path in sorted((folder / "images").glob("*.png")):
        header = read_picture_header(path)
        if (header.columns, header.rows) == (columns, rows):
            cases.append(read_case(path, folder / "labels" / path.name))
    return cases


def check(kept: Sequence[Labelled]) -> list[Checked]:
    return check_nuclei(find_weights("nuclei"), load_task("nuclei").network, kept)


@pytest.mark.real_data
def test_kept_micrographs_of_one_sort(shared_data: Path) -> None:
    # docs/model-cards/nuclei.md has the figures of sorts.
    _, kept = split(of_one_size(shared_data / "nuclei", 360, 360))
    assert len(kept) == 16
    found = summary(check(kept[:6]))
    assert found["two_class_iou"] > 0.93
    assert found["foreground_iou"] > 0.9
    assert found["panoptic_quality"] > 0.7


@pytest.mark.real_data
@pytest.mark.slow
def test_all_that_were_kept_give_the_figures_of_the_card(shared_data: Path) -> None:
    card = read_card(find_weights("nuclei"))
    assert card is not None
    _, kept = split(read_labelled(shared_data / "nuclei"))
    assert summary(check(kept)) == pytest.approx(card.held_out, abs=2e-3)


def test_nuclei_are_told_from_background_as_well_as_aimed_at() -> None:
    card = read_card(find_weights("nuclei"))
    assert card is not None
    assert card.held_out["foreground_iou"] >= 0.87


def test_the_mean_over_thresholds_that_is_aimed_at() -> None:
    card = read_card(find_weights("nuclei"))
    assert card is not None
    assert card.held_out["two_class_iou"] >= 0.925
