"""Scoring phantoms through the pipeline every door uses, and comparing with the truth their formula gives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from datasets.geometry import Grid
from datasets.image import Image
from datasets.phantoms import ct_phantom, default_grid
from datasets.study import Loaded, Series, Study
from pipelines.metrics.dice import dice
from pipelines.results import Result
from pipelines.run import Pipeline
from pipelines.task import Task


@dataclass(frozen=True)
class PhantomScore:
    """How close a result came to the truth of a phantom.

    Attributes:
        liver_dice: Dice of liver and tumour together, on the scan's grid.
        tumor_dice: Dice of the tumours; None where the phantom has none and none were found.
        liver_ml: Volume found.
        true_liver_ml: Volume by formula.
        tumors: Number found.
        true_tumors: Number there.
    """

    liver_dice: float
    tumor_dice: float | None
    liver_ml: float
    true_liver_ml: float
    tumors: int
    true_tumors: int

    @property
    def volume_error(self) -> float:
        """Signed error of the liver's volume as a share of the truth."""
        return self.liver_ml / self.true_liver_ml - 1.0


def phantom_study(seed: int, grid: Grid | None = None) -> Study:
    """A study that scans phantom `seed` when its pixels are asked for."""
    grid = grid or default_grid()
    series = Series(
        uid=f"phantom-{seed}",
        modality="CT",
        description="phantom",
        images=grid.shape[2],
        grid=grid,
        repairs=(),
        refusal=None,
        read=partial(_scan, seed, grid),
    )
    return Study(uid=f"phantom-{seed}", source=f"phantom {seed}", series=(series,))


def compare(labels: Image, quantities: Mapping[tuple[str | None, str], float], seed: int) -> PhantomScore:
    """Compare what was said about phantom `seed` with the truth.

    Args:
        labels: The label map found, on whatever grid the phantom was scanned.
        quantities: The study's measurements by (label, name).
        seed: Of the phantom.
    """
    phantom = ct_phantom(seed)
    truth = phantom.labels(labels.grid).array
    found = labels.array
    has_tumors = bool((truth == 2).any() or (found == 2).any())
    return PhantomScore(
        liver_dice=dice(found > 0, truth > 0),
        tumor_dice=dice(found == 2, truth == 2) if has_tumors else None,
        liver_ml=quantities["liver", "volume"],
        true_liver_ml=phantom.truth.liver_ml,
        tumors=int(quantities["liver_tumor", "count"]),
        true_tumors=len(phantom.truth.tumors),
    )


def check_phantoms(task: Task, seeds: Iterable[int]) -> dict[str, float]:
    """Score phantoms and summarise: worst and mean Dice, largest volume error.

    Returns:
        Figures by name; the tumours' are left out where no phantom has any.
    """
    pipeline = Pipeline.load(task, "cpu")
    scores = [_check(pipeline.run(phantom_study(seed)), seed) for seed in seeds]
    figures = {
        "phantoms": float(len(scores)),
        "liver_dice_mean": float(np.mean([score.liver_dice for score in scores])),
        "liver_dice_min": min(score.liver_dice for score in scores),
        "liver_volume_error_max": max(abs(score.volume_error) for score in scores),
    }
    tumor = [score.tumor_dice for score in scores if score.tumor_dice is not None]
    if tumor:
        figures |= {"tumor_dice_mean": float(np.mean(tumor)), "tumor_dice_min": min(tumor)}
    return figures


def _check(result: Result, seed: int) -> PhantomScore:
    if result.labels is None:
        raise ValueError(f"expected a result with a label map; got {result.error}")
    return compare(result.labels, {(q.label, q.name): q.value or 0.0 for q in result.quantities}, seed)


def _scan(seed: int, grid: Grid) -> Loaded:
    return Loaded(ct_phantom(seed).image(grid))
