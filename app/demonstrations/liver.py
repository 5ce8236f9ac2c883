"""Liver and tumours on CT torsos whose truth is known by formula."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from app.contact_sheet import Row, write_contact_sheet
from app.demonstrations.shown import Demonstration, Found, table
from datasets.geometry import Grid
from datasets.image import Image, Intensity
from datasets.io.dicom_ct import CtSeriesOptions, write_ct_series
from datasets.io.nifti import read_nifti, write_nifti
from datasets.labels import LIVER_AND_TUMOR
from datasets.phantoms import ct_phantom, default_grid
from pipelines.outputs import SEGMENTATION
from pipelines.phantom_check import PhantomScore, compare


@dataclass(frozen=True)
class DemoScan:
    """A phantom that neither training nor the card's held-out figures have used, and how it is scanned.

    Attributes:
        seed: Of the phantom.
        grid: Of the scan.
        dicom: Whether it is stored as a DICOM series; as NIfTI otherwise.
    """

    seed: int
    grid: Grid
    dicom: bool = True

    @property
    def name(self) -> str:
        """What it is called in files and tables."""
        return f"phantom-{self.seed}"

    def scan(self) -> Image:
        """The scan, in HU."""
        return ct_phantom(self.seed).image(self.grid)


SCANS = (
    DemoScan(20_001, default_grid((0.8, 0.8, 3.0))),
    DemoScan(20_002, default_grid((0.9, 0.9, 5.0))),
    DemoScan(20_003, default_grid((0.85, 0.85, 2.5), rotation_deg=(6.0, 4.0, 3.0))),
    DemoScan(20_004, default_grid((1.0, 1.0, 2.0), orientation="RAS"), dicom=False),
)


def liver(scans: Sequence[DemoScan] = SCANS) -> Demonstration:
    """The liver task on some scans."""

    def show(found: Sequence[Found], sheet: Path) -> Table:
        return _show(scans, found, sheet)

    return Demonstration(
        task="liver_ct",
        told="CT torsos: the liver, its tumours, their volumes",
        make=lambda folder: [_store(scan, folder) for scan in scans],
        show=show,
    )


def _store(scan: DemoScan, folder: Path) -> Path:
    if not scan.dicom:
        path = folder / f"{scan.name}.nii.gz"
        write_nifti(scan.scan(), path)
        return path
    # Slices that an earlier demonstration left there would be taken for some of this series.
    for stale in (folder / scan.name).glob("IM*.dcm"):
        stale.unlink()
    write_ct_series(scan.scan(), folder / scan.name, CtSeriesOptions(study=scan.name, description=scan.name))
    return folder / scan.name


def _show(scans: Sequence[DemoScan], found: Sequence[Found], sheet: Path) -> Table:
    scores, rows = [], []
    for scan, one in zip(scans, found, strict=True):
        labels = read_nifti(one.folder / SEGMENTATION, Intensity.LABEL).image
        score = compare(labels, one.quantities, scan.seed)
        scores.append(score)
        rows.append(_row(scan, labels, score))
    write_contact_sheet(rows, LIVER_AND_TUMOR, sheet)
    return _table(scans, scores)


def _row(scan: DemoScan, labels: Image, score: PhantomScore) -> Row:
    spacing = " x ".join(f"{step:g}" for step in scan.grid.spacing_mm)
    return Row(
        title=f"{scan.name}   liver {score.liver_ml:.0f} ml (truth {score.true_liver_ml:.0f})   "
        f"tumours {score.tumors} (truth {score.true_tumors})",
        subtitle=f"{'DICOM series' if scan.dicom else 'NIfTI'}, {spacing} mm, {scan.grid.orientation}   "
        f"Dice: liver {score.liver_dice:.3f}, tumours {_told(score.tumor_dice)}",
        image=scan.scan(),
        labels=labels,
        truth=ct_phantom(scan.seed).labels(scan.grid),
    )


def _table(scans: Sequence[DemoScan], scores: Sequence[PhantomScore]) -> Table:
    columns = [f"liver\n{name}" for name in ("ml", "truth", "error", "Dice")]
    columns += [f"tumours\n{name}" for name in ("found", "truth", "Dice")]
    made = table("Found beside truth", "study", *columns)
    for scan, score in zip(scans, scores, strict=True):
        made.add_row(
            scan.name,
            f"{score.liver_ml:.1f}",
            f"{score.true_liver_ml:.1f}",
            f"{score.volume_error:+.1%}",
            f"{score.liver_dice:.3f}",
            str(score.tumors),
            str(score.true_tumors),
            _told(score.tumor_dice),
        )
    return made


def _told(dice: float | None) -> str:
    return "none" if dice is None else f"{dice:.3f}"
