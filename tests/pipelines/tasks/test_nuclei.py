"""The nuclei task on discs whose number and areas are known, with a network that cannot err."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from datasets.errors import ConfigError, InputRefused
from datasets.image import Image, Intensity
from datasets.io.discover import open_inputs
from pipelines.outputs import write_result
from pipelines.results import Result
from pipelines.task import load_task
from pipelines.tasks import nuclei
from pipelines.tasks.nuclei import probabilities_of
from tests.pipelines.discs import discs
from tests.pipelines.micrograph_scene import FOUR, four_discs, grey, pipeline, quantities, score, written

MASK = discs((81, 103), *FOUR)
AREAS = [int(discs((81, 103), disc).sum()) for disc in FOUR]


def numbers(result: Result, folder: Path) -> np.ndarray:
    return np.asarray(Pillow.open(written(result, "instances", folder / "instances.png")))


def codes(result: Result) -> set[str]:
    return {flag.code for flag in result.quality}


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(four_discs(), id="8 bits"),
        pytest.param(grey(MASK, 300, 4000, np.uint16), id="12 of 16 bits"),
        pytest.param(grey(MASK, 5, 9), id="faint"),
        pytest.param(Image(np.repeat(four_discs().array, 3, 0), Intensity.COLOUR), id="colour"),
        pytest.param(Image(four_discs().array / np.float32(255.0), Intensity.GREY), id="floats"),
    ],
)
def test_number_and_areas_are_those_of_the_discs(image: Image, tmp_path: Path) -> None:
    result = score(image)
    found = quantities(result)
    assert found["count"] == (4.0, "1")
    assert found["area_total"] == (sum(AREAS), "{pixels}")
    assert found["area_mean"] == (np.mean(AREAS), "{pixels}")
    assert found["area_median"] == (np.median(AREAS), "{pixels}")
    assert found["covered_fraction"] == (sum(AREAS) / (81 * 103), "1")
    assert found["density"] == (pytest.approx(4 / (81 * 103) * 1e6), "1/{megapixel}")
    assert {item.label for item in result.quantities} == {"nucleus"}
    (finding,) = result.findings
    assert (finding.label, finding.positive, finding.threshold, finding.calibrated) == ("nucleus", True, 0.5, False)
    assert finding.probability == pytest.approx(1.0, abs=1e-3)
    assert np.array_equal(np.bincount(numbers(result, tmp_path).ravel())[1:], sorted_by_row())
    mask = np.asarray(Pillow.open(written(result, "segmentation", tmp_path / "mask.png")))
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, MASK)
    assert np.array_equal(result.labels.slices()[0], MASK)
    assert codes(result) == set()


def sorted_by_row() -> list[int]:
    return [area for _, area in sorted(zip([row - radius for row, _, radius in FOUR], AREAS, strict=True))]


def test_two_that_touch_are_two(tmp_path: Path) -> None:
    result = score(grey(discs((60, 80), (30, 28, 12.0), (30, 50, 11.0))))
    assert quantities(result)["count"] == (2.0, "1")
    found = numbers(result, tmp_path)
    assert found.dtype == np.uint16
    assert found[30, 28] != found[30, 50]


@pytest.mark.parametrize("shape", [(31, 57), (1, 1), (3, 200), (129, 65)])
def test_odd_sizes(shape: tuple[int, int]) -> None:
    mask = discs(shape, (shape[0] // 2, shape[1] // 2, 6.0))
    result = score(grey(mask), "min_area_px=1")
    assert result.labels.shape == (shape[1], shape[0], 1)
    if mask.any() and not mask.all():
        assert np.array_equal(result.labels.slices()[0], mask)


def test_windows_change_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    mask = discs((150, 210), *[(rng.uniform(10, 140), rng.uniform(10, 200), 6.0) for _ in range(25)])
    whole, cut = score(grey(mask)), score(grey(mask), "windows.size=[64, 48]", "windows.batch=3")
    assert whole.segmentation_sha256 == cut.segmentation_sha256
    assert np.array_equal(numbers(whole, tmp_path), numbers(cut, tmp_path))


def test_micrometres_that_are_stated() -> None:
    result = score(four_discs(), "mpp=0.5")
    found = quantities(result)
    assert found["area_total"] == (sum(AREAS) / 4, "um2")
    assert found["density"] == (pytest.approx(4 / (81 * 103 / 4e6)), "1/mm2")
    assert codes(result) == {"mpp_stated"}


def test_micrometres_that_the_file_tells(tmp_path: Path) -> None:
    plain = four_discs()
    known = Image(plain.array, plain.intensity, np.diag([0.0005, 0.0005, 1.0, 1.0]))
    result = score(known)
    assert quantities(result)["area_total"] == (pytest.approx(sum(AREAS) / 4), "um2")
    assert codes(result) == set()
    # The label map is then a volume on the picture's grid as well, which keeps the name.
    outputs = write_result(result, load_task("nuclei"), tmp_path).outputs
    assert outputs == {
        "segmentation": "segmentation.nii.gz",
        "segmentation_png": "segmentation.png",
        "instances": "instances.png",
    }


def test_small_ones_are_no_nuclei() -> None:
    mask = discs((60, 80), (20, 20, 8.0), (45, 60, 2.0))
    assert int(discs((60, 80), (45, 60, 2.0)).sum()) == 13
    for setting, count in (("min_area_px=13", 2.0), ("min_area_px=14", 1.0)):
        assert quantities(score(grey(mask), setting))["count"][0] == count
    # 13 pixels of a quarter of a square micrometre.
    for least, count in ((3.25, 2.0), (3.3, 1.0)):
        assert quantities(score(grey(mask), "mpp=0.5", f"min_area_um2={least}"))["count"][0] == count


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_blank_picture_is_an_empty_result(value: int, tmp_path: Path) -> None:
    result = score(grey(np.zeros((40, 50), bool), black=value))
    found = quantities(result)
    assert (found["count"], found["area_mean"]) == ((0.0, "1"), (None, "{pixels}"))
    (finding,) = result.findings
    assert (finding.positive, finding.probability) == (False, pytest.approx(0.0, abs=1e-6))
    assert codes(result) == {"empty_result"}
    assert numbers(result, tmp_path).max() == 0


def test_nuclei_of_unknown_size_are_told() -> None:
    huge = score(grey(discs((200, 200), (100, 100, 60.0))))
    assert codes(huge) == {"outside_training_range"}
    (message,) = [flag.message for flag in huge.quality]
    assert f"nuclei of {int(discs((200, 200), (100, 100, 60.0)).sum())} pixels" in message


def test_pictures_that_come_from_files(tmp_path: Path) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    pixels = np.where(MASK, 220, 20).astype(np.uint8)
    colours = np.stack([pixels, pixels, pixels, np.full_like(pixels, 255)], axis=-1)
    Pillow.fromarray(colours).save(inputs / "transparent.png")
    task = pipeline("output.probability=true")
    with open_inputs([inputs / "transparent.png"]) as inventory:
        result = task.run(inventory.studies[0])
    assert codes(result) == {"colour_converted"}
    assert quantities(result)["count"] == (4.0, "1")
    sure = np.asarray(Pillow.open(written(result, "probability", tmp_path / "p.png")))
    assert np.array_equal(sure > 127, MASK)


def test_more_nuclei_than_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuclei, "MOST_NUCLEI", 4)
    score(four_discs())
    monkeypatch.setattr(nuclei, "MOST_NUCLEI", 3)
    with pytest.raises(InputRefused, match="at most 3 nuclei") as caught:
        score(four_discs())
    assert caught.value.code == "unsupported_dimensions"


@pytest.mark.parametrize("shape", [(1, 8, 8, 2), (2, 8, 8, 1), (4, 8, 8, 1)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputRefused, match="one picture") as caught:
        score(Image(np.zeros(shape, np.uint8), Intensity.GREY))
    assert caught.value.code == "unsupported_dimensions"


def test_values_that_are_no_numbers_are_refused() -> None:
    array = np.zeros((1, 8, 8, 1), np.float32)
    array[0, 3, 3] = np.nan
    with pytest.raises(InputRefused) as caught:
        score(Image(array, Intensity.GREY))
    assert caught.value.code == "not_finite"


def test_probabilities_by_hand() -> None:
    shares = torch.tensor([0.2, 0.5, 0.3])
    for logits, nucleus, core in (
        (torch.log(shares), 0.8, 0.5),
        (torch.log(shares[:2]), 5 / 7, 5 / 7),
        (torch.logit(shares[:1]), 0.2, 0.2),
    ):
        told = probabilities_of(logits.reshape(-1, 1, 1, 1))
        assert [float(one) for one in told] == pytest.approx([nucleus, core])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("network.in_channels=1", "network.in_channels 3"),
        ("network.out_channels=4", "network.out_channels"),
        ("network.spatial_dims=3", "2D network"),
        ("threshold=1.0", "threshold"),
        ("waist_px=0", "waist_px"),
        ("mpp=-1", "mpp"),
    ],
)
def test_settings_that_cannot_be_meant(setting: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_task("nuclei", [setting])
    assert told in str(caught.value)
