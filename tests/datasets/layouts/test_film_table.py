"""Tables of films: what columns mean, which film a cell names, and what is told where either fails."""

import pickle
from collections import Counter
from pathlib import Path

import pytest

from datasets.defects import DefectCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import ClassTruth, Dataset, FindingsTruth
from datasets.io.dicom_film import options_for, write_film
from datasets.layouts import film_table
from datasets.phantoms import film_phantom
from networks.checkpoints.published import CHEST_XRAY_14
from tests.datasets.layouts.small_sets import chest_xray_14, picture


def _table(root: Path, text: str, name: str = "labels.csv", films: tuple[str, ...] = ("a", "b", "c", "d")) -> Dataset:
    for film in films:
        picture(root / f"{film}.png")
    (root / name).write_text(text)
    assert film_table.recognises(root)
    return film_table.read(root)


def _findings(found: Dataset) -> dict[str, dict[str, float]]:
    return {e.name: dict(e.truth.values) for e in found.examples if isinstance(e.truth, FindingsTruth)}


def _classes(found: Dataset) -> dict[str, str]:
    return {e.name: e.truth.classes[e.truth.index] for e in found.examples if isinstance(e.truth, ClassTruth)}


def test_chest_xray_14_as_it_is_published(tmp_path: Path) -> None:
    found = film_table.read(chest_xray_14(tmp_path))
    assert (found.labels, found.defects) == (CHEST_XRAY_14, ())
    there = {name: {label for label, value in v.items() if value} for name, v in _findings(found).items()}
    assert there == {
        "00000001_000": {"cardiomegaly", "emphysema"},
        "00000001_001": set(),
        "00000002_000": {"pleural_thickening"},
        "00000003_000": set(),
        "00000003_001": {"hernia"},
    }
    assert all(set(values) == set(CHEST_XRAY_14) for values in _findings(found).values())
    assert [e.patient for e in found.examples] == ["1", "1", "2", "3", "3"]
    assert [e.split for e in found.examples] == ["train"] * 3 + ["test"] * 2
    # Nobody is 411 years old.
    assert [dict(e.groups) for e in found.examples] == [
        {"sex": "m", "age": "50-59", "view": "pa"},
        {"sex": "m", "age": "50-59", "view": "pa"},
        {"sex": "f", "view": "ap"},
        {"sex": "f", "age": "0-9", "view": "pa"},
        {"sex": "f", "age": "10-19", "view": "pa"},
    ]
    assert {e.study.series[0].projection for e in found.examples} == {"frontal"}
    example = pickle.loads(pickle.dumps(found.examples[2]))  # noqa: S301 - our own, as a worker gets it
    assert example.study.series[0].load().image.shape == (6, 4, 1)


def test_of_chest_xray_14_one_archive_may_be_at_hand(tmp_path: Path) -> None:
    root = chest_xray_14(tmp_path)
    for film in (root / "images_002").rglob("*.png"):
        film.unlink()
    found = film_table.read(root)
    assert [(d.code, d.gravity, d.where) for d in found.defects] == [
        (DefectCode.IMAGE_MISSING, "warning", "00000002_000.png"),
        (DefectCode.IMAGE_MISSING, "warning", "00000003_001.png"),
    ]
    assert len(found.examples) == 3


def test_chexpert_as_it_is_published(tmp_path: Path) -> None:
    columns = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Pleural Effusion\n"
    prefix = "CheXpert-v1.0-small/"
    train, valid = "train/patient00001/study1/view1_frontal.jpg", "valid/patient64541/study1/view1_frontal.jpg"
    side = "train/patient00001/study1/view2_lateral.jpg"
    for film in (train, valid, side):
        picture(tmp_path / film)
    (tmp_path / "train.csv").write_text(
        f"{columns}{prefix}{train},Female,68,Frontal,AP,,-1.0,1.0\n{prefix}{side},Female,68,Lateral,,1.0,,\n"
    )
    (tmp_path / "valid.csv").write_text(f"{columns}{prefix}{valid},Male,73,Frontal,PA,0.0,1.0,0.0\n")
    found = film_table.read(tmp_path)
    assert found.defects == ()
    assert found.labels == ("no_finding", "enlarged_cardiomediastinum", "pleural_effusion")
    # What a report does not mention is 0, what it is uncertain about unknown.
    assert [dict(e.truth.values) for e in found.examples if isinstance(e.truth, FindingsTruth)] == [
        {"no_finding": 0.0, "pleural_effusion": 1.0},
        {"no_finding": 0.0, "enlarged_cardiomediastinum": 1.0, "pleural_effusion": 0.0},
        {"no_finding": 1.0, "enlarged_cardiomediastinum": 0.0, "pleural_effusion": 0.0},
    ]
    assert [e.name for e in found.examples] == [
        "train-patient00001-study1-view1_frontal",
        "valid-patient64541-study1-view1_frontal",
        "view2_lateral",
    ]
    assert [e.patient for e in found.examples] == ["patient00001", "patient64541", "patient00001"]
    assert [e.split for e in found.examples] == ["train", "validation", "train"]
    assert [e.study.series[0].projection for e in found.examples] == ["frontal", "frontal", "lateral"]
    assert [e.groups["view"] for e in found.examples] == ["ap", "pa", "lateral"]


def test_mura_as_it_is_published(tmp_path: Path) -> None:
    studies = {"train/XR_WRIST/patient00001/study1_positive": 3, "train/XR_HAND/patient00001/study1_negative": 1}
    for study, films in studies.items():
        for index in range(films):
            picture(tmp_path / study / f"image{index + 1}.png", shade=index)
    picture(tmp_path / "valid/XR_HAND/patient11185/study1_positive/image1.png")
    (tmp_path / "train_labeled_studies.csv").write_text(
        "".join(f"MURA-v1.1/{study}/,{int('positive' in study)}\n" for study in studies)
    )
    (tmp_path / "valid_labeled_studies.csv").write_text("MURA-v1.1/valid/XR_HAND/patient11185/study1_positive/,1\n")
    (tmp_path / "train_image_paths.csv").write_text(
        "MURA-v1.1/train/XR_WRIST/patient00001/study1_positive/image1.png\n"
    )
    found = film_table.read(tmp_path)
    assert (found.labels, found.defects) == (("abnormal",), ())
    by_patient = {(e.patient, len(e.study.series)): e for e in found.examples}
    assert set(by_patient) == {("patient00001", 3), ("patient00001", 1), ("patient11185", 1)}
    wrist = by_patient["patient00001", 3]
    assert (wrist.truth, wrist.split) == (FindingsTruth({"abnormal": 1.0}), "train")
    assert [int(series.load().image.array.max()) for series in wrist.study.series] == [0, 1, 2]
    assert by_patient["patient00001", 1].truth == FindingsTruth({"abnormal": 0.0})
    assert by_patient["patient11185", 1].split == "validation"


def test_an_empty_cell_is_unknown_elsewhere(tmp_path: Path) -> None:
    found = _table(tmp_path, "image,Mass,Nodule\na,1,\nb.png,-1,0\nc.png,,\n./d.png,0.0,1.0\n")
    assert _findings(found) == {"a": {"mass": 1.0}, "b": {"nodule": 0.0}, "d": {"mass": 0.0, "nodule": 1.0}}
    assert [(d.code, d.gravity) for d in found.defects] == [(DefectCode.LABELS_MISSING, "warning")]
    assert "1 rows in which nothing is known" in found.defects[0].found


def test_classes_are_sorted_by_name(tmp_path: Path) -> None:
    found = _table(
        tmp_path,
        "file;Class;patient;split;site;note\na.png;Viral;p1;val;x;1\nb.png;Bacterial;p1;val;x;2\n"
        "c.png;normal;p2;TRAIN;y;3\nd.png;normal;p2;test;y;4\n",
    )
    assert found.labels == ("bacterial", "normal", "viral")
    assert _classes(found) == {"a": "viral", "b": "bacterial", "c": "normal", "d": "normal"}
    assert [e.patient for e in found.examples] == ["p1", "p1", "p2", "p2"]
    assert [e.split for e in found.examples] == ["validation", "validation", "train", "test"]
    assert [dict(e.groups) for e in found.examples] == [{"site": "x"}] * 2 + [{"site": "y"}] * 2


def test_classes_that_are_numbers_are_sorted_by_value(tmp_path: Path) -> None:
    found = _table(tmp_path, "id_code,diagnosis\na,10\nb,2\nc,0\nd,2.0\n")
    assert found.labels == ("0", "2", "10")
    assert _classes(found) == {"a": "10", "b": "2", "c": "0", "d": "2"}


def test_other_numbers_are_scores(tmp_path: Path) -> None:
    found = _table(tmp_path, "id,boneage,male\na,180,False\nb,12.5,True\nc,,True\nd,94,False\n")
    assert found.labels == ("boneage",)
    assert _findings(found) == {"a": {"boneage": 180.0}, "b": {"boneage": 12.5}, "d": {"boneage": 94.0}}
    assert [e.groups["sex"] for e in found.examples] == ["f", "m", "f"]


@pytest.mark.parametrize(
    ("header", "row", "labels"),
    [
        ("image_name,patient_id,sex,age_approx,diagnosis,target", "a,p,male,45,unknown,1", ("target",)),
        ("image,MEL,NV", "a,1.0,0.0", ("mel", "nv")),
        ("Image Index,Finding Labels", "a.png,COVID|Mass", ("covid", "mass")),
        ("filename,label", "a.png,0.25", ("label",)),
        ("picture,covid,fluid,thyroid,weight", "a.png,1,0,1,70", ("covid", "fluid", "thyroid")),
        (",img,study_date,patient_name,rows,dr_grade", "0,a.png,20200101,X,512,3", ("dr_grade",)),
    ],
)
def test_columns_are_known_by_name_and_content(header: str, row: str, labels: tuple[str, ...], tmp_path: Path) -> None:
    found = _table(tmp_path, f"{header}\n{row}\n", films=("a",))
    assert found.labels == labels
    assert [e.name for e in found.examples] == ["a"]
    assert "X" not in repr(found.examples)


def test_names_of_people_are_no_group(tmp_path: Path) -> None:
    rows = "".join(f"{film},1,Doe {film},{site}\n" for film, site in zip("abcd", "xxyy", strict=True))
    found = _table(tmp_path, f"image,mass,physician,site\n{rows}")
    assert [dict(e.groups) for e in found.examples] == [{"site": s} for s in "xxyy"]


@pytest.mark.parametrize(
    "cell", ["/etc/passwd", "../a.png", "x/../../a.png", "C:\\a.png", "\\\\server\\a.png", "..\\a.png"]
)
def test_nothing_outside_the_folder_is_opened(cell: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    found = _table(tmp_path / "in", f"image,mass\nb.png,1\n{cell},0\n", films=("b",))
    assert [e.name for e in found.examples] == ["b"]
    assert [(d.code, d.gravity) for d in found.defects] == [(DefectCode.IMAGE_MISSING, "error")]
    assert "leads out" in found.defects[0].found


def test_films_are_found_in_subfolders_and_never_guessed(tmp_path: Path) -> None:
    for film in ("x/1.png", "y/1.png", "y/2.png", "p2/image.png"):
        picture(tmp_path / film)
    found = _table(tmp_path, "image,mass\nset/x/1.png,1\n1.png,1\n2.png,0\n2,0\np1/image.png,1\ny/3.png,1\n", films=())
    sources = {e.name: Path(e.study.source).relative_to(tmp_path).as_posix() for e in found.examples}
    assert sources == {"1": "x/1.png", "2": "y/2.png"}
    missing = [d.where for d in found.defects if d.code is DefectCode.IMAGE_MISSING]
    # "1.png" is two films, and the film of another patient is none of this one's.
    assert missing == ["1.png", "p1/image.png", "y/3.png"]
    told = {d.code: d for d in found.defects}
    assert (told[DefectCode.NAME_TWICE].gravity, told[DefectCode.NAME_TWICE].where) == ("warning", "y/2.png")
    assert "2 of 4 films without a row" in told[DefectCode.LABELS_MISSING].found


def test_rows_that_contradict_each_other_are_an_error(tmp_path: Path) -> None:
    found = _table(tmp_path, "image,mass\na.png,1\na.png,0\n", films=("a",))
    assert [(d.code, d.gravity) for d in found.defects] == [(DefectCode.NAME_TWICE, "error")]


def test_many_missing_films_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"m{index}.png,1\n" for index in range(30))
    found = _table(tmp_path, f"image,mass\na.png,0\n{rows}", films=("a",))
    assert Counter(d.code for d in found.defects) == {DefectCode.IMAGE_MISSING: 21}
    assert "10 further rows" in found.defects[-1].found


def test_a_table_may_be_named_where_there_are_several(tmp_path: Path) -> None:
    for film in "ab":
        picture(tmp_path / f"{film}.png")
    for reader, value in (("reader_a", 1), ("reader_b", 0)):
        (tmp_path / f"{reader}.csv").write_text(f"image,mass\na.png,{value}\nb.png,{value}\n")
    assert film_table.recognises(tmp_path)
    with pytest.raises(ConfigError, match="name one as --data"):
        film_table.read(tmp_path)
    assert film_table.recognises(tmp_path / "reader_b.csv")
    found = film_table.read(tmp_path / "reader_b.csv")
    assert _findings(found) == {"a": {"mass": 0.0}, "b": {"mass": 0.0}}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "table of films"),
        (b"image,mass\n", "table of films"),
        (b"a\0b,c\n1,2\n", "table of films"),
        (b"image,mass\na.png,\xff\n", "table of films"),
        (b"name,value\nx,1\n", "table of films"),
        (b"image,mass\n" + b"a.png,1\n" * 60 + b"a.png,1,2,3\n", "4 cells under 2 columns"),
    ],
)
def test_what_is_no_table_is_refused(content: bytes, match: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=match):
        film_table.read(tmp_path)


def test_separators_at_the_end_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    for film in "ab":
        picture(tmp_path / f"{film}.png")
    (tmp_path / "labels.csv").write_text("image,mass,,\na.png,1,,\n\nb.png,0,,\n", encoding="utf-8-sig")
    assert _findings(film_table.read(tmp_path)) == {"a": {"mass": 1.0}, "b": {"mass": 0.0}}


def test_label_maps_beside_a_table_are_another_layouts(tmp_path: Path) -> None:
    root = chest_xray_14(tmp_path)
    for other in ("labels", "masks", "labelsTr"):
        (root / other).mkdir()
        assert not film_table.recognises(root)
        (root / other).rmdir()


def test_dicom_films_are_read(tmp_path: Path) -> None:
    planted = film_phantom(3, ("mass",), "PA").image(32)
    write_film(planted, tmp_path / "film.dcm", options_for(planted))
    (tmp_path / "no.dcm").write_bytes(b"no DICOM")
    (tmp_path / "labels.csv").write_text("image,mass\nfilm,1\nno,0\n")
    film, broken = film_table.read(tmp_path).examples
    assert (film.study.series[0].load().image.array == planted.array).all()
    with pytest.raises(InputRefused):
        broken.study.series[0].load()


@pytest.mark.real_data
def test_real_films(shared_data: Path) -> None:
    found = film_table.read(shared_data / "chest_nih")
    assert (len(found.examples), found.labels, found.defects) == (60, CHEST_XRAY_14, ())
    assert len({e.patient for e in found.examples}) == 60
    positive = sum(any(values.values()) for values in _findings(found).values())
    assert (positive, 60 - positive) == (44, 16)
    assert found.examples[0].study.series[0].load().image.shape == (1024, 1024, 1)
