"""The Medical Segmentation Decathlon's layout, sound and spoilt."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from datasets.codes import RefusalCode
from datasets.defects import DefectCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import Dataset, Example, MaskTruth
from datasets.image import Intensity
from datasets.layouts import open_dataset
from datasets.layouts.decathlon import read, recognises
from tests.datasets.layouts.mask_files import LAS, SHAPE, decathlon, describe, labels, nifti, numbers


def codes(found: Dataset) -> list[tuple[DefectCode, str, str]]:
    return [(defect.code, defect.gravity, defect.where) for defect in found.defects]


def truth(example: Example) -> MaskTruth:
    assert isinstance(example.truth, MaskTruth)
    return example.truth


def test_a_sound_set_is_read_whole(tmp_path: Path) -> None:
    found = open_dataset(decathlon(tmp_path / "Task03"))
    assert (found.name, found.layout, found.labels, found.defects) == ("Liver", "decathlon", ("liver", "cancer"), ())
    assert [(e.name, e.patient, e.split) for e in found.examples] == [
        ("case_0", "case_0", "train"),
        ("case_1", "case_1", "train"),
    ]
    example = pickle.loads(pickle.dumps(found.examples[1]))  # noqa: S301 - what a worker process is handed
    (series,) = example.study.series
    image = series.load().image
    assert (series.modality, series.name, image.intensity) == ("CT", "CT", Intensity.HOUNSFIELD)
    np.testing.assert_array_equal(image.array[0], numbers(1))
    label_map = truth(example).read()
    assert (label_map.intensity, label_map.array.dtype) == (Intensity.LABEL, np.uint8)
    np.testing.assert_array_equal(label_map.array[0], labels(1))
    np.testing.assert_allclose(label_map.grid.affine, LAS)
    assert truth(example).names == {1: "liver", 2: "cancer"}


def test_pixels_are_not_read_before_they_are_asked_for(tmp_path: Path) -> None:
    found = read(decathlon(tmp_path, 1))
    (tmp_path / "imagesTr" / "case_0.nii.gz").unlink()
    with pytest.raises(InputRefused) as caught:
        found.examples[0].study.series[0].load()
    assert caught.value.code is RefusalCode.UNREADABLE_FILE


def test_channels_of_one_file_become_series_on_one_grid(tmp_path: Path) -> None:
    decathlon(tmp_path, 1, modality={"0": "FLAIR", "1": "CT", "2": "T2"})
    stacked = numbers(5, (*SHAPE, 3))
    nifti(tmp_path / "imagesTr" / "case_0.nii.gz", stacked)
    (example,) = read(tmp_path).examples
    assert [(s.name, s.modality, s.uid) for s in example.study.series] == [
        ("FLAIR", "", "case_0_0000"),
        ("CT", "CT", "case_0_0001"),
        ("T2", "", "case_0_0002"),
    ]
    for channel, series in enumerate(pickle.loads(pickle.dumps(example.study.series))):  # noqa: S301
        image = series.load().image
        np.testing.assert_array_equal(image.array[0], stacked[..., channel])
        assert image.intensity is (Intensity.HOUNSFIELD if channel == 1 else Intensity.GREY)
        assert series.grid is not None
        assert image.grid.matches(series.grid)
        np.testing.assert_allclose(image.grid.affine, LAS)
    # ITK writes channels as a fifth axis.
    nifti(tmp_path / "imagesTr" / "case_0.nii.gz", stacked[:, :, :, np.newaxis].astype(np.float32))
    last = read(tmp_path).examples[0].study.series[2].load().image
    np.testing.assert_array_equal(last.array[0], stacked[..., 2])


def test_channels_that_are_not_those_named_are_a_defect(tmp_path: Path) -> None:
    decathlon(tmp_path, 2, modality={"0": "FLAIR", "1": "T2"})
    nifti(tmp_path / "imagesTr" / "case_0.nii.gz", numbers(5, (*SHAPE, 2)))
    found = read(tmp_path)
    assert [e.name for e in found.examples] == ["case_0"]
    assert codes(found) == [(DefectCode.UNREADABLE_IMAGE, "error", "case_1")]
    assert "1 channels where 2 are named" in found.defects[0].found


def test_test_images_without_labels_are_no_examples_and_no_defects(tmp_path: Path) -> None:
    decathlon(tmp_path, 1, test=["./imagesTs/a.nii.gz", "./imagesTs/b.nii.gz"], numTest=2)
    nifti(tmp_path / "imagesTs" / "a.nii.gz", numbers(7))
    assert ([e.name for e in read(tmp_path).examples], read(tmp_path).defects) == (["case_0"], ())
    nifti(tmp_path / "labelsTs" / "a.nii.gz", labels(7))
    assert [(e.name, e.split) for e in read(tmp_path).examples] == [("a", "test"), ("case_0", "train")]


def test_what_is_not_there_and_what_leads_out_is_told(tmp_path: Path) -> None:
    outside = nifti(tmp_path / "secret.nii.gz", numbers(9))
    root = decathlon(tmp_path / "set", 2)
    described = json.loads((root / "dataset.json").read_text())
    described["training"] += [
        {"image": "imagesTr/gone.nii.gz", "label": "labelsTr/case_1.nii.gz"},
        {"image": "../secret.nii.gz", "label": "labelsTr/case_0.nii.gz"},
        {"image": str(outside), "label": "labelsTr/case_0.nii.gz"},
        {"image": "imagesTr/case_0.nii.gz", "label": "imagesTr/../../secret.nii.gz"},
        {"image": "imagesTr/case_0.nii.gz", "label": "labelsTr/gone.nii.gz"},
        {"image": "C:\\secret.nii.gz", "label": "labelsTr/case_0.nii.gz"},
        {"image": 5, "label": None},
    ]
    described["training"][1] = {"image": "imagesTr/absent.nii.gz", "label": "labelsTr/case_1.nii.gz"}
    describe(root, **described)
    found = read(root)
    assert [e.name for e in found.examples] == ["case_0"]
    assert sorted(codes(found)) == sorted(
        [
            *[(DefectCode.IMAGE_MISSING, "error", "dataset.json")] * 4,
            (DefectCode.LABELS_MISSING, "error", "dataset.json"),
            (DefectCode.NAME_TWICE, "error", "labelsTr/case_1.nii.gz"),
            (DefectCode.IMAGE_MISSING, "error", "imagesTr/absent.nii.gz"),
            (DefectCode.LABELS_MISSING, "error", "labelsTr/gone.nii.gz"),
            (DefectCode.IMAGE_MISSING, "warning", "dataset.json"),
        ]
    )
    assert not any(str(tmp_path) in defect.found for defect in found.defects if "secret" not in defect.found)


def test_counts_that_do_not_agree_and_labels_nobody_lists_are_warnings(tmp_path: Path) -> None:
    decathlon(tmp_path, 1, numTraining=131)
    nifti(tmp_path / "labelsTr" / "more.nii.gz", labels(3))
    nifti(tmp_path / "labelsTr" / "._case_0.nii.gz", labels(3))
    found = read(tmp_path)
    assert [defect.gravity for defect in found.defects] == ["warning", "warning"]
    assert "131" in found.defects[0].found
    assert "1 label maps" in found.defects[1].found


def test_unreadable_files_are_defects_of_their_case_alone(tmp_path: Path) -> None:
    decathlon(tmp_path, 3)
    (tmp_path / "imagesTr" / "case_0.nii.gz").write_bytes(b"no image")
    (tmp_path / "labelsTr" / "case_2.nii.gz").write_bytes(b"")
    found = read(tmp_path)
    assert [e.name for e in found.examples] == ["case_1"]
    assert codes(found) == [
        (DefectCode.UNREADABLE_IMAGE, "error", "case_0"),
        (DefectCode.UNREADABLE_LABELS, "error", "case_2"),
    ]


@pytest.mark.parametrize(
    "raw", [{"0": "background", "2": "b", "1": "a"}, {"background": 0, "a": 1, "b": 2}, {"a": 1.0, "b": 2}]
)
def test_labels_are_named_either_way(tmp_path: Path, raw: dict[str, object]) -> None:
    found = read(decathlon(tmp_path, 1, labels=raw))
    assert truth(found.examples[0]).names == {1: "a", 2: "b"}
    assert found.labels == ("a", "b")


@pytest.mark.parametrize("raw", [None, {}, {"liver": "one"}, {"liver": -1}, {"a": 1, "b": 1}, ["liver"]])
def test_labels_that_cannot_be_understood_stop_at_once(tmp_path: Path, raw: object) -> None:
    with pytest.raises(ConfigError):
        read(decathlon(tmp_path, 1, labels=raw))


@pytest.mark.parametrize("content", ["{", '{"training": 5}', "[]", '{"labels": ' + "[" * 100_000])
def test_a_broken_description_is_an_error_of_the_whole(tmp_path: Path, content: str) -> None:
    decathlon(tmp_path, 1)
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(ConfigError):
        open_dataset(tmp_path, "decathlon")
    if not content.startswith('{"training'):
        assert recognises(tmp_path)


def test_lists_of_nnunets_first_version_name_files_without_their_channel(tmp_path: Path) -> None:
    decathlon(tmp_path, 1, modality={"0": "CT", "1": "PET"})
    source = tmp_path / "imagesTr" / "case_0.nii.gz"
    source.rename(source.with_name("case_0_0000.nii.gz"))
    nifti(source.with_name("case_0_0001.nii.gz"), numbers(44))
    (example,) = read(tmp_path).examples
    assert [series.name for series in example.study.series] == ["CT", "PET"]
    np.testing.assert_array_equal(example.study.series[1].load().image.array[0], numbers(44))


def test_a_label_map_of_floats_is_read_where_all_are_whole(tmp_path: Path) -> None:
    decathlon(tmp_path, 2)
    nifti(tmp_path / "labelsTr" / "case_0.nii.gz", labels(0).astype(np.float64))
    nifti(tmp_path / "labelsTr" / "case_1.nii.gz", labels(1).astype(np.float32) + np.float32(0.5))
    first, second = read(tmp_path).examples
    assert truth(first).read().array.dtype == np.uint8
    with pytest.raises(InputRefused, match=r"\.5 among the values"):
        truth(second).read()


def test_a_label_map_in_another_order_of_axes_keeps_its_own_grid(tmp_path: Path) -> None:
    decathlon(tmp_path, 1)
    turned = labels(0).transpose(2, 0, 1)[:, ::-1]
    # Index (a, b, c) of the file is voxel (SHAPE[0] - 1 - b, c, a) of the image.
    permuted = LAS @ np.array([[0, -1, 0, SHAPE[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    nifti(tmp_path / "labelsTr" / "case_0.nii.gz", turned, permuted)
    (example,) = read(tmp_path).examples
    label_map, image = truth(example).read(), example.study.series[0].load().image
    assert label_map.shape == (SHAPE[2], SHAPE[0], SHAPE[1])
    assert not label_map.grid.matches(image.grid)
    places = label_map.grid.points_mm(np.argwhere(label_map.array[0] == 2))
    same = image.grid.points_mm(np.argwhere(labels(0) == 2))
    assert sorted(places.round(3).tolist()) == sorted(same.round(3).tolist())


def test_other_descriptions_are_not_recognised(tmp_path: Path) -> None:
    assert not recognises(tmp_path)
    assert not recognises(describe(tmp_path / "a", labels={"0": "b"}))
    assert not recognises(describe(tmp_path / "b", training=[], channel_names={"0": "CT"}))
    assert recognises(describe(tmp_path / "c", training=[]))
