"""Inputs of every kind, and what is wrong with them."""

import os
import pickle
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from datasets.codes import RefusalCode, RepairCode
from datasets.errors import InputRefused
from datasets.io.discover import Inventory, open_inputs
from datasets.study import Study

NOBODY = 65534


def _nifti(path: Path, value: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.full((5, 4, 3), value, dtype=np.float32)
    nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    return path


def _png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.zeros((4, 6), np.uint8)).save(path)
    return path


def _ct(folder: Path, study: str, slices: int = 3) -> Path:
    """A CT series of plain slices 2 mm apart."""
    folder.mkdir(parents=True, exist_ok=True)
    series, frame = generate_uid(entropy_srcs=[study, "series"]), generate_uid(entropy_srcs=[study, "frame"])
    for number in range(slices):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CTImageStorage
        uid = generate_uid(entropy_srcs=[study, str(number)])
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = uid
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.Modality, image.ImageType, image.InstanceNumber = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], number + 1
        image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, 2 * number], [1, 0, 0, 0, 1, 0]
        image.PixelSpacing, image.SliceThickness = [0.5, 0.5], 2
        image.Rows, image.Columns, image.SamplesPerPixel = 6, 5, 1
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
        image.PhotometricInterpretation, image.RescaleSlope, image.RescaleIntercept = "MONOCHROME2", 1, -1024
        image.PixelData = np.full((6, 5), number, np.int16).tobytes()
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def _found(inputs: Path | Sequence[Path]) -> Inventory:
    with open_inputs([inputs] if isinstance(inputs, Path) else inputs) as inventory:
        return inventory


def _uids(inventory: Inventory) -> list[str]:
    return [study.uid for study in inventory.studies]


def _codes(studies: Sequence[Study]) -> list[RefusalCode | None]:
    return [study.refusal and study.refusal.code for study in studies]


def _refused(inputs: Path | Sequence[Path]) -> InputRefused:
    with pytest.raises(InputRefused) as caught:
        _found(inputs)
    return caught.value


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_every_nifti_file_and_picture_is_a_study(tmp_path: Path) -> None:
    _nifti(tmp_path / "b.nii.gz")
    _nifti(tmp_path / "sub" / "a.b.nii")
    _png(tmp_path / "c.png")
    for name in ("notes.txt", "labels.csv", "README", "LICENSE", ".DS_Store", "Thumbs.db", ".hidden/x.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("nothing to see")
    inventory = _found(tmp_path)
    assert _uids(inventory) == ["b", "c", "a.b"]
    assert inventory.repairs == ()
    volume, picture, _ = (study.series[0] for study in inventory.studies)
    assert volume.grid is not None
    assert (volume.images, volume.grid.spacing_mm) == (3, (1.0, 1.0, 2.0))
    assert (picture.images, picture.grid) == (1, None)
    assert volume.load().image.shape == (5, 4, 3)
    assert picture.load().image.shape == (6, 4, 1)
    assert [study.source for study in inventory.studies] == [
        f"{tmp_path}/b.nii.gz",
        f"{tmp_path}/c.png",
        f"{tmp_path}/sub/a.b.nii",
    ]


def test_a_study_can_be_handed_to_another_process(tmp_path: Path) -> None:
    _ct(tmp_path / "ct", "1.2.3")
    _nifti(tmp_path / "a.nii")
    for study in pickle.loads(pickle.dumps(_found(tmp_path).studies)):  # noqa: S301 - our own bytes
        assert study.series[0].load().image.grid.spacing_mm[2] == 2.0


def test_dicom_folders_are_found_by_study_wherever_they_lie(tmp_path: Path) -> None:
    _ct(tmp_path / "x" / "y", "1.2.3")
    _ct(tmp_path / "z", "1.2.4")
    _nifti(tmp_path / "a.nii.gz")
    inventory = _found(tmp_path)
    assert _uids(inventory) == ["1.2.3", "1.2.4", "a"]
    assert [study.series[0].images for study in inventory.studies] == [3, 3, 3]
    assert _uids(_found(tmp_path / "z")) == ["1.2.4"]
    assert _uids(_found(sorted((tmp_path / "z").iterdir())[0])) == ["1.2.4"]


def test_an_archive_holds_what_its_folder_would(tmp_path: Path) -> None:
    _ct(tmp_path / "in" / "ct", "1.2.3")
    _nifti(tmp_path / "in" / "bad" / "nan.nii.gz", np.nan)
    (tmp_path / "in" / "broken.nii").write_bytes(b"x")
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in (tmp_path / "in").rglob("*.*"):
            archive.write(file, file.relative_to(tmp_path / "in"))
    with open_inputs([path]) as inventory:
        ct, nan, broken = inventory.studies
        assert (ct.uid, nan.source, broken.source) == ("1.2.3", f"{path}/bad/nan.nii.gz", f"{path}/broken.nii")
        np.testing.assert_array_equal(ct.series[0].load().image.array[0, 0, 0], [-1024, -1023, -1022])
        with pytest.raises(InputRefused) as caught:
            nan.series[0].load()
        assert caught.value.code is RefusalCode.NOT_FINITE
        for refusal in (caught.value, broken.refusal):
            assert refusal is not None
            assert str(path) in refusal.got, "the name the caller knows, not a temporary one"


def test_archives_in_a_folder_are_opened_and_a_bad_one_hides_nothing(tmp_path: Path) -> None:
    for name, member in (("good", "a.nii"), ("bad", "../a.nii")):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.write(_nifti(tmp_path / "elsewhere" / "a.nii"), member)
    (tmp_path / "elsewhere" / "a.nii").unlink()
    inventory = _found(tmp_path)
    assert _uids(inventory) == ["bad", "a"]
    assert _codes(inventory.studies) == [RefusalCode.UNSAFE_ARCHIVE, None]
    assert _refused(tmp_path / "bad.zip").code is RefusalCode.UNSAFE_ARCHIVE


def test_a_list_names_paths_from_where_it_lies(tmp_path: Path) -> None:
    _nifti(tmp_path / "data" / "a #1.nii.gz")
    _ct(tmp_path / "data" / "ct", "1.2.3")
    path = tmp_path / "data" / "list.txt"
    path.write_text("\ufeff# studies of today\n\na #1.nii.gz  # looks odd\nct\nmissing.nii\nct\n", encoding="utf-8")
    # A comment needs a space before its sign, and so this name cannot be listed as it is.
    assert _codes(_found(path).studies) == [RefusalCode.UNREADABLE_FILE, None, RefusalCode.UNREADABLE_FILE]
    (tmp_path / "data" / "a #1.nii.gz").rename(tmp_path / "data" / "a#1.nii.gz")
    path.write_text("a#1.nii.gz # looks odd\nct\n")
    assert _uids(_found(path)) == ["a#1", "1.2.3"]
    (tmp_path / "data" / "again.txt").write_text("list.txt\n")
    assert _refused(tmp_path / "data" / "again.txt").code is RefusalCode.UNREADABLE_FILE


def test_broken_files_are_refused_studies_beside_the_others(tmp_path: Path) -> None:
    whole = _nifti(tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii").write_bytes(whole[:-10])
    (tmp_path / "c.png").write_bytes(b"no picture")
    (tmp_path / "text.dcm").write_text("a text file, named like an image")
    inventory = _found(tmp_path)
    by_uid = dict(zip(_uids(inventory), _codes(inventory.studies), strict=True))
    assert by_uid == {
        "a": None,
        "b": RefusalCode.TRUNCATED_FILE,
        "c": RefusalCode.UNREADABLE_FILE,
        "text": RefusalCode.UNREADABLE_FILE,
    }


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("text.dcm", b"a text file", RefusalCode.UNREADABLE_FILE),
        ("noise.bin", bytes(range(256)) * 9, RefusalCode.UNREADABLE_FILE),
        ("empty.dcm", b"", RefusalCode.UNREADABLE_FILE),
        ("notes.md", b"# words", RefusalCode.UNREADABLE_FILE),
        ("a.zip", b"no archive", RefusalCode.UNREADABLE_FILE),
        ("list.txt", b"# nothing\n", RefusalCode.EMPTY_INPUT),
        ("list.txt", b"\xff\xfe\x00", RefusalCode.UNREADABLE_FILE),
    ],
)
def test_a_single_file_that_cannot_be_used_is_refused_as_a_whole(
    tmp_path: Path, name: str, content: bytes, code: RefusalCode
) -> None:
    (tmp_path / name).write_bytes(content)
    refusal = _refused(tmp_path / name)
    assert refusal.code is code
    assert name in refusal.got


def test_nothing_usable_is_an_empty_input(tmp_path: Path) -> None:
    assert _refused(tmp_path).code is RefusalCode.EMPTY_INPUT
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    assert _refused(tmp_path).code is RefusalCode.EMPTY_INPUT
    assert _refused([]).code is RefusalCode.EMPTY_INPUT
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    assert _refused(tmp_path / "a.zip").code is RefusalCode.EMPTY_INPUT


def test_files_that_are_no_images_are_told(tmp_path: Path) -> None:
    _nifti(tmp_path / "a.nii")
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    inventory = _found(tmp_path)
    assert _uids(inventory) == ["a"]
    assert [repair.code for repair in inventory.repairs] == [RepairCode.NON_IMAGE_OBJECTS_IGNORED]
    assert "noise" in inventory.repairs[0].message


def test_a_missing_input_is_refused_alone_and_noted_among_others(tmp_path: Path) -> None:
    missing = tmp_path / "gone.nii.gz"
    assert _refused(missing).code is RefusalCode.UNREADABLE_FILE
    assert _refused([missing, tmp_path / "also_gone"]).code is RefusalCode.UNREADABLE_FILE
    inventory = _found([missing, _nifti(tmp_path / "a.nii")])
    assert _uids(inventory) == ["gone", "a"]
    assert _codes(inventory.studies) == [RefusalCode.UNREADABLE_FILE, None]


@pytest.mark.parametrize("kind", ["file", "folder", "inner", "dicom"])
def test_what_may_not_be_read_is_refused(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    base = tmp_path_factory.mktemp("allowed")
    # Above, pytest's folders are closed to others, which would hide what is tested.
    for folder in (base, *base.parents[:2]):
        folder.chmod(0o755)
    _nifti(base / "in" / "a.nii")
    _nifti(base / "in" / "sub" / "b.nii")
    _ct(base / "in" / "ct", "1.2.3")
    closed = {"file": "in/a.nii", "folder": "in", "inner": "in/sub", "dicom": "in/ct/1.dcm"}[kind]
    (base / closed).chmod(0)
    try:
        with _as_nobody():
            if kind in ("file", "folder"):
                assert _refused(base / closed).code is RefusalCode.UNREADABLE_FILE
            if kind == "inner":
                assert "sub" in _refused(base / "in").got
            if kind in ("file", "dicom"):
                codes = dict(zip(*(lambda i: (_uids(i), _codes(i.studies)))(_found(base / "in")), strict=True))
                assert codes["a" if kind == "file" else "1"] is RefusalCode.UNREADABLE_FILE
                assert codes["b"] is None
    finally:
        (base / closed).chmod(0o755)


def test_an_input_named_twice_counts_once(tmp_path: Path) -> None:
    path = _nifti(tmp_path / "a.nii")
    assert _uids(_found([path, path, tmp_path / "." / "a.nii"])) == ["a"]
    assert len(_found([path, tmp_path]).studies) == 2


def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    _nifti(tmp_path / "in" / "a.nii")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in", target_is_directory=True)
    assert _uids(_found(tmp_path)) == ["a"]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "studies", "modality"),
    [
        ("ct_abdomen/dicom_j2k", 1, "CT"),
        ("ct_seg_pair", 1, "CT"),
        ("chest_nih/images", 60, ""),
        ("nuclei/images", 519, ""),
    ],
)
def test_real_folders(shared_data: Path, folder: str, studies: int, modality: str) -> None:
    inventory = _found(shared_data / folder)
    assert len(inventory.studies) == studies
    assert {series.modality for study in inventory.studies for series in study.series} == {modality}
