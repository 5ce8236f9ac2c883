"""Films and micrographs with planted defects, in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from datasets.audit.auditing import audit
from datasets.audit.fixing import without
from datasets.defects import Defect, DefectCode
from datasets.example import Dataset, Example
from datasets.image import Image, Intensity
from datasets.io.picture import read_picture
from datasets.phantoms import film_phantom
from datasets.phantoms.nuclei import nuclei_phantom
from tests.datasets.audit.phantom_sets import classed, dataset, numbered

CLASSES = ("normal", "abnormal")
SIZE_PX = 128


def _film(seed: int) -> Image:
    """Eight bits, as a PNG holds it."""
    image = film_phantom(seed).image(SIZE_PX)
    low, high = float(image.array.min()), float(image.array.max())
    grey = np.rint((image.array - low) / (high - low) * 255).astype(np.uint8)
    return Image(grey, Intensity.GREY)


@pytest.fixture(scope="module")
def films() -> tuple[Example, ...]:
    return tuple(
        classed(f"film_{n:02d}", _film(n), n % 2, ("train", "train", "validation")[n % 3], f"p{n}") for n in range(24)
    )


@pytest.fixture(scope="module")
def micrographs() -> tuple[Example, ...]:
    examples = []
    for seed in range(12):
        phantom = nuclei_phantom(seed, count=25, shape_px=(160, 128), stain="fluorescence")
        numbers = Image(phantom.instances().T[np.newaxis, :, :, np.newaxis], Intensity.LABEL)
        image = phantom.image()
        examples.append(numbered(f"field_{seed:02d}", Image(image.array, image.intensity), numbers))
    return tuple(examples)


def _told(found: tuple[Defect, ...]) -> set[tuple[str, DefectCode, str]]:
    return {(defect.where, defect.code, defect.gravity) for defect in found}


def _audited(examples: tuple[Example, ...], labels: tuple[str, ...] = CLASSES) -> set[tuple[str, DefectCode, str]]:
    return _told(audit(dataset(examples, labels)))


def _with(films: tuple[Example, ...], number: int, image: Image) -> tuple[Example, ...]:
    """One film exchanged for another picture."""
    old = films[number]
    new = classed(old.name, image, number % 2, old.split, old.patient)
    return (*films[:number], new, *films[number + 1 :])


def _pixels(example: Example) -> Image:
    return example.study.series[0].load().image


def test_sound_films_have_none(films: tuple[Example, ...]) -> None:
    assert audit(dataset(films, CLASSES)) == ()


def test_sound_micrographs_have_none(micrographs: tuple[Example, ...]) -> None:
    assert audit(dataset(micrographs, ("nucleus",))) == ()


def test_colour_among_grey_and_grey_stored_as_colour(films: tuple[Example, ...]) -> None:
    grey = _pixels(films[3]).array
    tinted = np.concatenate((grey, grey // 2, grey // 3))
    told = _audited(_with(films, 3, Image(tinted, Intensity.COLOUR)))
    assert ("film_03", DefectCode.IMAGES_DIFFER, "error") in told
    told = _audited(_with(films, 3, Image(np.repeat(grey, 3, axis=0), Intensity.COLOUR)))
    assert told == {("film_03", DefectCode.IMAGES_DIFFER, "warning")}


def test_sixteen_bits_among_eight(films: tuple[Example, ...]) -> None:
    deep = Image(_pixels(films[5]).array.astype(np.uint16) * 257, Intensity.GREY)
    told = _audited(_with(films, 5, deep))
    assert ("film_05", DefectCode.IMAGES_DIFFER, "warning") in told
    assert {where for where, _, _ in told} == {"film_05"}


def test_a_film_in_negative(films: tuple[Example, ...]) -> None:
    found = audit(dataset(_with(films, 7, Image(255 - _pixels(films[7]).array, Intensity.GREY)), CLASSES))
    assert _told(found) == {("film_07", DefectCode.INTENSITY_OUTLIER, "error")}
    assert found[0].fix == "invert_image"


def test_a_film_without_contrast(films: tuple[Example, ...]) -> None:
    blank = Image(np.zeros((1, SIZE_PX, SIZE_PX, 1), np.uint8), Intensity.GREY)
    assert _audited(_with(films, 7, blank)) == {("film_07", DefectCode.INTENSITY_OUTLIER, "error")}


def test_a_film_in_another_scaling_is_told(films: tuple[Example, ...]) -> None:
    scaled = Image(_pixels(films[7]).array.astype(np.uint16) * 16, Intensity.GREY)
    assert ("film_07", DefectCode.INTENSITY_OUTLIER, "warning") in _audited(_with(films, 7, scaled))


@pytest.mark.parametrize("quality", [75, 95])
def test_the_same_film_in_another_compression(films: tuple[Example, ...], tmp_path: Path, quality: int) -> None:
    rows = _pixels(films[1]).array[0, :, :, 0].T
    Pillow.fromarray(rows).save(tmp_path / "again.jpg", quality=quality)
    told = _audited(_with(films, 4, read_picture(tmp_path / "again.jpg").image))
    assert told == {("film_04", DefectCode.DUPLICATE_IMAGE, "warning")}


def test_the_same_film_mirrored_or_darker(films: tuple[Example, ...]) -> None:
    array = _pixels(films[1]).array
    mirrored = _with(films, 4, Image(np.ascontiguousarray(array[:, ::-1]), Intensity.GREY))
    assert _audited(mirrored) == {("film_04", DefectCode.DUPLICATE_IMAGE, "warning")}
    darker = _with(films, 4, Image((array * 0.8).astype(np.uint8), Intensity.GREY))
    assert _audited(darker) == {("film_04", DefectCode.DUPLICATE_IMAGE, "warning")}


def test_the_same_film_in_two_parts_or_with_two_truths_is_an_error(films: tuple[Example, ...]) -> None:
    image = _pixels(films[2])
    # Film 2 is in the validation set and normal; 4 is in the training set and normal, 5 abnormal in the validation set.
    leak = audit(dataset(_with(films, 4, image), CLASSES))
    assert [(d.where, d.gravity, d.fix) for d in leak] == [("film_04", "error", "leave_out")]
    assert "train and validation" in leak[0].found
    torn = audit(dataset(_with(films, 5, image), CLASSES))
    assert [(d.where, d.gravity, d.fix) for d in torn] == [("film_05", "error", "")]
    assert "another truth" in torn[0].found


def test_what_leaks_can_be_left_out(films: tuple[Example, ...]) -> None:
    leaking = dataset(_with(films, 4, _pixels(films[2])), CLASSES)
    rest = without(leaking, audit(leaking))
    assert [example.name for example in rest.examples] == [f.name for f in films if f.name != "film_04"]
    assert audit(rest) == ()


def test_one_patient_in_two_parts(films: tuple[Example, ...]) -> None:
    examples = (*films[:3], replace(films[3], patient=films[2].patient), *films[4:])
    assert _audited(examples) == {("film_03", DefectCode.PATIENT_IN_TWO_SPLITS, "error")}


def test_no_patient_is_named(films: tuple[Example, ...]) -> None:
    secret = "Doe^Jane"
    examples = (*films[:2], *(replace(film, patient=secret) for film in films[2:4]), *films[4:])
    found = audit(dataset(examples, CLASSES))
    assert found
    assert secret not in str(found)


def test_a_name_that_stands_twice(films: tuple[Example, ...]) -> None:
    study = replace(films[1].study, uid=films[0].name)
    assert ("film_00", DefectCode.NAME_TWICE, "error") in _audited((films[0], replace(films[1], study=study)))


@pytest.mark.parametrize(("axis", "fix"), [(0, "flip_labels_i"), (1, "flip_labels_j")])
def test_mirrored_nuclei_are_found(micrographs: tuple[Example, ...], axis: int, fix: str) -> None:
    for number in (0, 5, 11):
        old = micrographs[number]
        numbers = old.truth.read()
        turned = numbered(old.name, _pixels(old), numbers.like(np.flip(numbers.array, axis + 1)))
        examples = (*micrographs[:number], turned, *micrographs[number + 1 :])
        found = audit(dataset(examples, ("nucleus",)))
        assert [(d.where, d.code, d.fix) for d in found] == [(old.name, DefectCode.LABELS_FLIPPED, fix)]


def test_nuclei_of_another_field_are_found(micrographs: tuple[Example, ...]) -> None:
    one, two = micrographs[2], micrographs[8]
    swapped = {
        one.name: numbered(one.name, _pixels(one), two.truth.read()),
        two.name: numbered(two.name, _pixels(two), one.truth.read()),
    }
    examples = tuple(swapped.get(example.name, example) for example in micrographs)
    found = audit(dataset(examples, ("nucleus",)))
    assert {(d.where, d.code) for d in found} == {(name, DefectCode.LABELS_MISPLACED) for name in swapped}
    assert two.name in found[0].found


def test_an_empty_dataset_is_told() -> None:
    assert [d.gravity for d in audit(Dataset("nothing", "memory", (), ()))] == ["error"]


def test_several_processes_find_the_same(films: tuple[Example, ...]) -> None:
    examples = dataset(_with(films, 4, _pixels(films[2])), CLASSES)
    done: list[tuple[int, int]] = []
    assert audit(examples, workers=2, told=lambda n, of: done.append((n, of))) == audit(examples)
    assert done == [(n, 24) for n in range(1, 25)]
