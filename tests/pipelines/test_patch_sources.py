"""Patches out of pictures, files of many and slides, each from where it says it is."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image as Picture

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, InputRefused
from datasets.io.discover import open_inputs
from datasets.study import Study
from pipelines.patch_index import Place, source_name
from pipelines.patch_sources import Cut, Found, is_slide, patch_at, patches_of, reread
from tests.pipelines.patch_files import patch, purple_corner, slide_study, write_picture, write_stack

CUT = Cut(96, 0.97)


def of_file(path: Path) -> list[Found]:
    with open_inputs([path]) as inventory:
        return [found for study in inventory.studies for found in patches_of(study, CUT)]


def test_a_picture_is_a_patch_as_it_is(tmp_path: Path) -> None:
    file = write_picture(tmp_path / "a.png", 1, 50)
    (found,) = of_file(file)
    np.testing.assert_array_equal(found.pixels, patch(1, 50)[np.newaxis])
    assert found.places == (Place(source_name(file)),)
    np.testing.assert_array_equal(reread(found.places[0], CUT), patch(1, 50))


def test_rows_and_columns_are_not_exchanged(tmp_path: Path) -> None:
    pixels = np.zeros((40, 70, 3), np.uint8)
    pixels[5, 60] = 255, 10, 20
    Picture.fromarray(pixels).save(tmp_path / "oblong.png")
    (found,) = of_file(tmp_path / "oblong.png")
    np.testing.assert_array_equal(found.pixels[0], pixels)


def test_a_file_of_many_is_many_patches(tmp_path: Path) -> None:
    file = write_stack(tmp_path / "many.h5", 150)
    found = of_file(file)
    places = [place for part in found for place in part.places]
    assert places == [Place(source_name(file), number) for number in range(150)]
    np.testing.assert_array_equal(np.concatenate([part.pixels for part in found])[97], patch(97))
    for number in (0, 63, 64, 149):
        np.testing.assert_array_equal(reread(places[number], CUT), patch(number))
    assert reread(Place(source_name(file), 150), CUT) is None


def test_tissue_of_a_slide_is_cut_side_by_side() -> None:
    picture = purple_corner(512)
    (found,) = patches_of(slide_study(picture), CUT)
    # 96 px cells: of 256 px of tissue each way two thirds of the third cell, too.
    assert [(place.x_um, place.y_um) for place in found.places] == [
        (pytest.approx(column * 96 * 0.97), pytest.approx(row * 96 * 0.97)) for row in range(3) for column in range(3)
    ]
    np.testing.assert_array_equal(found.pixels[4], picture[96:192, 96:192])


def test_a_place_on_a_slide_is_the_middle_of_its_patch() -> None:
    picture = purple_corner(512)
    found = patch_at(slide_study(picture), 148 * 0.97, 98 * 0.97, CUT)
    np.testing.assert_array_equal(found.pixels[0], picture[50:146, 100:196])
    assert found.places[0].x_um == pytest.approx(97.0)
    assert found.places[0].y_um == pytest.approx(48.5)


def test_places_must_be_on_a_slide(tmp_path: Path) -> None:
    for x_um, y_um in ((-1.0, 5.0), (5.0, 512 * 0.97)):
        with pytest.raises(ConfigError, match="on the slide, 497 x 497 um"):
            patch_at(slide_study(purple_corner()), x_um, y_um, CUT)
    with open_inputs([write_picture(tmp_path / "a.png", 1)]) as inventory:
        assert not is_slide(inventory.studies[0])
        with pytest.raises(ConfigError, match="--at"):
            patch_at(inventory.studies[0], 5.0, 5.0, CUT)
    assert is_slide(slide_study(purple_corner()))


def refusal(study: Study) -> RefusalCode:
    with pytest.raises(InputRefused) as raised:
        list(patches_of(study, CUT))
    return raised.value.code


def test_slides_without_tissue_or_scale_are_refused() -> None:
    glass = np.full((300, 300, 3), 243, np.uint8)
    assert refusal(slide_study(glass)) is RefusalCode.NO_TISSUE
    assert refusal(slide_study(purple_corner(), None)) is RefusalCode.NO_SPACING


def test_what_is_no_patch_in_colour_is_refused(tmp_path: Path) -> None:
    Picture.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "grey.png")
    write_picture(tmp_path / "tiny.png", 1, 31)
    Picture.fromarray(np.zeros((2049, 40, 3), np.uint8)).save(tmp_path / "large.png")
    with h5py.File(tmp_path / "grey.h5", "w") as file:
        file["x"] = np.zeros((3, 64, 64), np.uint8)
    codes = {}
    with open_inputs([tmp_path]) as inventory:
        for study in inventory.studies:
            codes[Path(study.source).name] = refusal(study)
    assert codes == {
        "grey.png": RefusalCode.WRONG_MODALITY,
        "grey.h5": RefusalCode.WRONG_MODALITY,
        "tiny.png": RefusalCode.UNSUPPORTED_DIMENSIONS,
        "large.png": RefusalCode.UNSUPPORTED_DIMENSIONS,
    }


def test_a_patch_whose_file_is_gone_is_not_at_hand(tmp_path: Path) -> None:
    assert reread(Place(str(tmp_path / "gone.png")), CUT) is None
    file = write_picture(tmp_path / "a.png", 1)
    assert reread(Place(str(file), index=3), CUT) is None
    assert reread(Place(str(file), x_um=0.0, y_um=0.0), CUT) is None


@pytest.mark.real_data
def test_patches_of_a_real_slide(shared_data: Path) -> None:
    found = of_file(shared_data / "slide" / "CMU-1-Small-Region.svs")
    assert 40 < sum(len(part.places) for part in found) <= 12 * 16
    place = found[0].places[7]
    np.testing.assert_array_equal(reread(place, CUT), found[0].pixels[7])
