"""Cases with every kind of decision, and the numbers that every export of them has to tell."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from app.services.intake import read_result, take_in
from app.services.record import CaseRecord, record_of
from app.store.database import Database, open_database
from app.store.records import Decision, NewReview
from app.store.reviews import Reviews
from datasets.image import Image, Intensity
from datasets.io.discover import open_inputs
from datasets.io.nifti import read_nifti, write_nifti
from pipelines.outputs import write_result
from pipelines.results import Finding, Location, Quantity, digest_of_labels
from pipelines.task import load_task
from tests.app.planted import plant_failure, plant_film, plant_liver

SCRIPT = "<script>alert(1)</script>"
FORMULA = '=cmd|"/c calc"!A1'
GREEK = "Ἀλέξανδρος Müller, Журавлёва, 12 µm² ≤ 3"
READER, OTHER = "r.adams", "dr.<b>öz</b>"


@dataclass(frozen=True)
class Scene:
    """A case in a store of its own."""

    database: Database
    case: str
    folder: Path
    masks: Path

    def record(self) -> CaseRecord:
        return record_of(self.database, self.case, self.masks)

    def review(self, *decisions: Decision, reader: str = READER, **said: object) -> None:
        digest = read_result(self.folder)[1]
        said = {"result_sha256": digest, "complete": True} | said
        Reviews(self.database).append(NewReview(case=self.case, reader=reader, decisions=decisions, **said))

    def edit(self, change: int = 5) -> tuple[str, str, np.ndarray]:
        """A mask in which some voxels of the liver's are tumour: its file's name, its digest and its labels."""
        labels = np.array(read_nifti(self.folder / "segmentation.nii.gz", Intensity.LABEL).image.array)
        affine = np.asarray(read_result(self.folder)[0].grid.affine)
        places = np.argwhere(labels[0] == 1)[:change]
        labels[0][tuple(places.T)] = 2
        mask = Image(labels.astype(np.uint8), Intensity.LABEL, affine)
        digest = digest_of_labels(mask)
        write_nifti(mask, self.masks / f"{digest}.nii.gz")
        return f"{digest}.nii.gz", digest, mask.array


def taken_in(root: Path, folder: Path) -> Scene:
    database = open_database(f"sqlite:///{root / 'store' / 'denselens.sqlite'}")
    case = take_in(database, folder, "worker")
    return Scene(database, case.id, folder, root / "masks")


def liver(root: Path, *, dicom: bool = True) -> Scene:
    """Two tumours with several measurements each, the liver, and flags; written as `score` writes it."""
    folder = plant_liver(root, dicom=dicom)
    result, _ = read_result(folder)
    if dicom:
        _named(Path(result.study.source), SCRIPT)
    with open_inputs([Path(result.study.source)]) as inventory:
        loaded = inventory.studies[0].series[0].load()
    labels = Image(
        np.uint8(read_nifti(folder / "segmentation.nii.gz", Intensity.LABEL).image.array),
        Intensity.LABEL,
        np.asarray(result.grid.affine),
    )
    first = result.findings[0]
    findings = tuple(
        Finding(
            label="liver_tumor",
            probability=probability,
            threshold=0.5,
            positive=True,
            calibrated=number == 1,
            location=Location(centroid_mm=first.location.centroid_mm, component=number),
            quantities=(
                Quantity(name="volume", value=12.3456789 / number, unit="ml"),
                Quantity(name="mean_attenuation", value=-7.25 * number, unit="[hnsf'U]"),
                Quantity(name="longest_axial_diameter", value=31.41592 / number, unit="mm"),
                Quantity(name="perpendicular_diameter", value=None if number == 2 else 0.04321, unit="mm"),
            ),
        )
        for number, probability in ((1, 0.98765), (2, 0.5123))
    )
    quantities = (
        *result.quantities,
        Quantity(name="burden", label="liver_tumor", value=1234.5678, unit="ml"),
        Quantity(name="count", label="liver_tumor", value=2.0, unit="1"),
    )
    task = load_task("liver_ct")
    said = result.model_copy(
        update={
            "config_digest": task.digest,
            "findings": findings,
            "quantities": quantities,
            "explanations": (),
            "labels": labels,
            "source": loaded.source,
            "sources": loaded.sources,
        }
    )
    write_result(said, task, folder)
    return taken_in(root, folder)


def film(root: Path) -> Scene:
    return taken_in(root, plant_film(root))


def failed(root: Path) -> Scene:
    return taken_in(root, plant_failure(root))


def decided(scene: Scene, *, edited: bool = True) -> Scene:
    """Accepts the first, rejects the second, adds one; with hostile words, and a second reader in between."""
    mask, digest, _ = scene.edit() if edited else ("", "", None)
    scene.review(Decision(finding=0, label="liver_tumor", verdict="accepted"), reader=OTHER, comment=GREEK)
    scene.review(
        Decision(finding=0, label="liver_tumor", verdict="modified", reason="wrong_extent", text=SCRIPT),
        Decision(finding=1, label="liver_tumor", verdict="rejected", reason="artefact", text=FORMULA),
        Decision(finding=2, label=SCRIPT, verdict="accepted", reason="missed_finding", text=GREEK),
        comment="@SUM(1)",
        mask=mask,
        mask_sha256=digest,
    )
    return scene


def _named(folder: Path, name: str) -> None:
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        dataset.PatientName = name
        dataset.save_as(file)
