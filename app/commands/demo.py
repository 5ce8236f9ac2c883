"""`denselens demo`: phantom studies, scored with the weights that ship, found beside truth."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from app.commands.score import START_OVER, run, writing_to
from app.contact_sheet import Row, write_contact_sheet
from datasets.geometry import Grid
from datasets.image import Image, Intensity
from datasets.io.dicom_ct import CtSeriesOptions, write_ct_series
from datasets.io.discover import open_inputs
from datasets.io.nifti import read_nifti, write_nifti
from datasets.phantoms import ct_phantom, default_grid
from pipelines.document import writable
from pipelines.journal import Entry
from pipelines.outputs import RESULT, SEGMENTATION
from pipelines.phantom_check import PhantomScore, compare
from pipelines.run import Pipeline
from pipelines.task import load_task

TASK = "liver_ct"
SHEET = "contact_sheet.png"


@dataclass(frozen=True)
class DemoStudy:
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


STUDIES = (
    DemoStudy(20_001, default_grid((0.8, 0.8, 3.0))),
    DemoStudy(20_002, default_grid((0.9, 0.9, 5.0))),
    DemoStudy(20_003, default_grid((0.85, 0.85, 2.5), rotation_deg=(6.0, 4.0, 3.0))),
    DemoStudy(20_004, default_grid((1.0, 1.0, 2.0), orientation="RAS"), dicom=False),
)


def command(
    out: Annotated[Path | None, typer.Option(help="Where to leave everything; denselens-out/demo by default.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the review app.")] = False,
) -> int:
    """Make phantom studies, score them with the weights that ship, and print found beside truth.

    The studies are written as DICOM series and NIfTI first and read back like anybody's. The contact sheet shows the
    outlines. The review app is not part of this release, so no browser is opened either way.
    """
    folder = out or Path("denselens-out") / "demo"
    console = Console()
    pipeline = Pipeline.load(load_task(TASK))
    scores, rows = [], []
    for number, study in enumerate(STUDIES, start=1):
        console.print(f"{study.name} ({number} of {len(STUDIES)}): a CT torso whose truth is known by formula")
        scan = ct_phantom(study.seed).image(study.grid)
        with writing_to(folder):
            path = _store(study, scan, folder / "phantoms")
        with open_inputs([path]) as inventory:
            scored = run(inventory.studies, pipeline, folder / study.name, START_OVER)
        labels, score = _found(study, folder / study.name, scored[0].entry)
        scores.append(score)
        rows.append(_row(study, scan, labels, score))
    with writing_to(folder):
        write_contact_sheet(rows, pipeline.task.label_set, folder / SHEET)
    console.print(_table(scores))
    console.print(f"Overlays: {writable(str(folder / SHEET))}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"Files: {writable(str(folder))}", highlight=False, markup=False, soft_wrap=True)
    console.print("Weights trained on phantoms only. Research use only, not a medical device.")
    return 0


def _store(study: DemoStudy, scan: Image, folder: Path) -> Path:
    if not study.dicom:
        path = folder / f"{study.name}.nii.gz"
        write_nifti(scan, path)
        return path
    # Slices that an earlier demonstration left there would be taken for some of this series.
    for stale in (folder / study.name).glob("IM*.dcm"):
        stale.unlink()
    write_ct_series(scan, folder / study.name, CtSeriesOptions(study=study.name, description=study.name))
    return folder / study.name


def _found(study: DemoStudy, folder: Path, entry: Entry) -> tuple[Image, PhantomScore]:
    """Read back what was written, as anybody else would."""
    if entry.status == "failed":
        raise RuntimeError(f"expected {study.name} to be scored; got {entry.code}: {entry.message}")
    labels = read_nifti(folder / entry.folder / SEGMENTATION, Intensity.LABEL).image
    document = json.loads((folder / entry.folder / RESULT).read_text(encoding="utf-8"))
    quantities = {(q["label"], q["name"]): float(q["value"] or 0.0) for q in document["quantities"]}
    return labels, compare(labels, quantities, study.seed)


def _row(study: DemoStudy, scan: Image, labels: Image, score: PhantomScore) -> Row:
    spacing = " x ".join(f"{step:g}" for step in study.grid.spacing_mm)
    return Row(
        title=f"{study.name}   liver {score.liver_ml:.0f} ml (truth {score.true_liver_ml:.0f})   "
        f"tumours {score.tumors} (truth {score.true_tumors})",
        subtitle=f"{'DICOM series' if study.dicom else 'NIfTI'}, {spacing} mm, {study.grid.orientation}   "
        f"Dice: liver {score.liver_dice:.3f}, tumours {_told(score.tumor_dice)}",
        image=scan,
        labels=labels,
        truth=ct_phantom(study.seed).labels(study.grid),
    )


def _table(scores: Sequence[PhantomScore]) -> Table:
    # Narrow enough for 80 columns, which is what a pipe or a log gets.
    table = Table(title="Found beside truth", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("\nstudy", no_wrap=True)
    for subject, columns in (("liver", ("ml", "truth", "error", "Dice")), ("tumours", ("found", "truth", "Dice"))):
        for column in columns:
            table.add_column(f"{subject}\n{column}", justify="right", no_wrap=True)
    for study, score in zip(STUDIES, scores, strict=True):
        table.add_row(
            study.name,
            f"{score.liver_ml:.1f}",
            f"{score.true_liver_ml:.1f}",
            f"{score.volume_error:+.1%}",
            f"{score.liver_dice:.3f}",
            str(score.tumors),
            str(score.true_tumors),
            _told(score.tumor_dice),
        )
    return table


def _told(dice: float | None) -> str:
    return "none" if dice is None else f"{dice:.3f}"
