"""One case's label map beside its reference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from datasets.defects import DefectCode
from datasets.example import Example, InstanceTruth, MaskTruth
from datasets.geometry import Grid
from datasets.image import Image
from datasets.resampling import reorient
from pipelines.evaluation.cases import Case, InstanceRecord, LesionRecord, MaskRecord
from pipelines.evaluation.regions import Naming, Region, regions_of, translated
from pipelines.evaluation.said import CaseRefused, Said
from pipelines.evaluation.truth_digest import labels_digest
from pipelines.metrics.aggregated_jaccard import aggregated_jaccard
from pipelines.metrics.dice import dice_of
from pipelines.metrics.hausdorff import hausdorff, hausdorff_percentile
from pipelines.metrics.iou import iou_of, two_class_iou, volumetric_overlap_error
from pipelines.metrics.lesion_detection import Lesions, find_lesions
from pipelines.metrics.mask_counts import count_masks
from pipelines.metrics.mean_surface_distance import average_symmetric_surface_distance, root_mean_square_distance
from pipelines.metrics.panoptic import panoptic_quality
from pipelines.metrics.surface_dice import surface_dice
from pipelines.metrics.surface_distances import surface_distances
from pipelines.metrics.volume_difference import relative_volume_difference
from pipelines.regions import Mask
from pipelines.results import Finding, Location

# Affines of other tools are single precision: on a long scan that is hundredths of a millimetre.
_SAME_PLACE_MM = 0.02
_FULL = np.float32(255.0)


@dataclass(frozen=True)
class MaskRules:
    """How label maps are compared.

    Attributes:
        naming: How a dataset's words become the task's.
        tolerance: Of the normalised surface Dice, mm, or pixels where the spacing is unknown.
    """

    naming: Naming
    tolerance: float


def compare_masks(example: Example, truth: MaskTruth, said: Said, rules: MaskRules) -> Case:
    """Compare every label that the dataset knows.

    Raises:
        CaseRefused: There is no label map, it lies on another grid, or the dataset's labels are none of the task's.
        InputRefused: The reference cannot be read.
    """
    if said.labels is None:
        raise no_prediction("a label map")
    read = truth.read()
    reference, notes = aligned(read, said.labels)
    true_values = rules.naming.values(truth.names)
    if not true_values:
        raise CaseRefused(
            DefectCode.UNKNOWN_LABEL,
            f"labels among {', '.join(rules.naming.label_set.names)}",
            ", ".join(truth.names.values()) or "no names",
            "say which is which with --label NAME=LABEL",
        )
    said_values = rules.naming.values(truth.names if said.label_names is None else said.label_names)
    true_map = translated(reference.array[0], true_values)
    said_map = translated(said.labels.array[0], said_values)
    place = _Place.of(said.labels)
    there = set(true_values.values())
    records = [
        _record(region, (region.mask(said_map), region.mask(true_map)), place, said.findings, rules.tolerance)
        for region in regions_of(rules.naming.label_set)
        if region.indices[0] in there
    ]
    return _case(example, read, notes).model_copy(update={"masks": tuple(records)})


def compare_instances(example: Example, truth: InstanceTruth, said: Said) -> Case:
    """Compare objects one by one.

    Raises:
        CaseRefused: There are no numbered objects, or they lie on another grid.
        InputRefused: The reference cannot be read.
    """
    if said.instances is None:
        raise no_prediction("numbered objects")
    read = truth.read()
    reference, notes = aligned(read, said.instances)
    true, found = reference.array[0], said.instances.array[0]
    panoptic, counts = panoptic_quality(found, true), count_masks(found > 0, true > 0)
    sure = said.probability
    record = InstanceRecord(
        label=truth.name,
        predicted=counts.predicted,
        reference=counts.reference,
        shared=counts.shared,
        foreground_iou=iou_of(counts),
        matched=panoptic.matched,
        invented=panoptic.invented,
        missed=panoptic.missed,
        iou_sum=panoptic.iou_sum,
        panoptic_quality=panoptic.quality,
        aggregated_jaccard=aggregated_jaccard(found, true),
        two_class_iou=None if sure is None else two_class_iou(sure.array[0].astype(np.float32) / _FULL, true > 0),
    )
    return _case(example, read, notes).model_copy(update={"instances": record})


def aligned(reference: Image, to: Image) -> tuple[Image, tuple[str, ...]]:
    """A reference on the grid of a prediction, where that takes no more than turning and flipping axes.

    Returns:
        The reference with the prediction's axes, and what was done.

    Raises:
        CaseRefused: The grids are others; nothing is resampled, because that would change the truth.
    """
    if reference.affine is None or to.affine is None:
        if reference.shape == to.shape:
            return reference, ()
        raise _elsewhere(f"{reference.shape}", f"{to.shape}")
    if reference.grid.matches(to.grid, _SAME_PLACE_MM):
        return reference, ()
    turned = reorient(reference, to.grid.orientation)
    if turned.grid.matches(to.grid, _SAME_PLACE_MM):
        return turned, (f"reference turned from {reference.grid.orientation} to {to.grid.orientation}",)
    raise _elsewhere(_told(reference.grid), _told(to.grid))


def no_prediction(of_what: str) -> CaseRefused:
    """A prediction that lacks what the truth is about."""
    return CaseRefused(DefectCode.LABELS_MISSING, f"a prediction with {of_what}", "none", "choose the task that fits")


@dataclass(frozen=True)
class _Place:
    """Where voxels lie: steps between them, in mm or in pixels, and how large they are."""

    grid: Grid | None
    steps: NDArray[np.float64]

    @classmethod
    def of(cls, image: Image) -> "_Place":
        grid = None if image.affine is None else image.grid
        return cls(grid, np.eye(3) if grid is None else grid.affine[:3, :3])

    def ml(self, voxels: int) -> float | None:
        return None if self.grid is None else voxels * self.grid.voxel_volume_ml


def _record(
    region: Region, masks: tuple[Mask, Mask], place: _Place, findings: Sequence[Finding], tolerance: float
) -> MaskRecord:
    counts = count_masks(*masks)
    distances = surface_distances(*masks, place.steps)
    said = [finding for finding in findings if finding.label == region.label]
    return MaskRecord(
        label=region.label,
        predicted=counts.predicted,
        reference=counts.reference,
        shared=counts.shared,
        unit="px" if place.grid is None else "mm",
        dice=dice_of(counts),
        iou=iou_of(counts),
        voe=volumetric_overlap_error(counts),
        rvd=relative_volume_difference(counts),
        nsd=surface_dice(distances, tolerance),
        hd=hausdorff(distances),
        hd95=hausdorff_percentile(distances),
        assd=average_symmetric_surface_distance(distances),
        rmsd=root_mean_square_distance(distances),
        predicted_ml=place.ml(counts.predicted),
        reference_ml=place.ml(counts.reference),
        lesions=_lesions(find_lesions(*masks), said, place.grid) if region.is_lesion else None,
    )


def _lesions(lesions: Lesions, findings: Sequence[Finding], grid: Grid | None) -> LesionRecord:
    by_overlap, by_iou = lesions.counts("overlap"), lesions.counts("iou")
    scores = _scores(lesions, findings, grid)
    found: dict[int, float] = {}
    invented: tuple[float, ...] = ()
    if scores is not None:
        for predicted, reference in zip(lesions.overlaps.predicted, lesions.overlaps.reference, strict=True):
            found[int(reference)] = max(found.get(int(reference), 0.0), scores[int(predicted)])
        right, _ = lesions.matched("overlap")
        invented = tuple(score for score, is_right in zip(scores, right, strict=True) if not is_right)
    return LesionRecord(
        reference=by_overlap.reference,
        predicted=by_overlap.predicted,
        found_by_overlap=by_overlap.found,
        right_by_overlap=by_overlap.right,
        found_by_iou=by_iou.found,
        right_by_iou=by_iou.right,
        found_scores=None if scores is None else tuple(found[key] for key in sorted(found)),
        invented_scores=None if scores is None else invented,
    )


def _scores(lesions: Lesions, findings: Sequence[Finding], grid: Grid | None) -> list[float] | None:
    """The probability of every predicted lesion: of the finding whose centroid is its own; None where one has none."""
    located = [
        (one.location.centroid_mm, one.probability)
        for one in findings
        if isinstance(one.location, Location) and one.probability is not None
    ]
    count = lesions.overlaps.predicted_px.size
    if count == 0:
        return []
    if grid is None or not located:
        return None
    centroids = grid.points_mm(_centroids(lesions.predicted, count) + np.asarray(lesions.offset))
    far, which = KDTree(np.array([place for place, _ in located])).query(centroids)
    if float(np.max(far)) > max(grid.spacing_mm):
        return None
    return [located[index][1] for index in which]


def _centroids(numbers: NDArray[np.uint32], count: int) -> NDArray[np.float64]:
    """Mean index (count, 3) of the voxels of each number, from 1."""
    indices = np.argwhere(numbers)
    of_voxel = numbers[numbers > 0].astype(np.intp) - 1
    sums = np.stack([np.bincount(of_voxel, indices[:, axis], minlength=count) for axis in range(3)], axis=1)
    centroids: NDArray[np.float64] = sums / np.bincount(of_voxel, minlength=count)[:, None]
    return centroids


def _case(example: Example, reference: Image, notes: tuple[str, ...]) -> Case:
    return Case(
        name=example.name,
        patient=example.patient,
        groups=dict(example.groups),
        truth_sha256=labels_digest(reference.array),
        notes=notes,
    )


def _told(grid: Grid) -> str:
    spacing = " x ".join(f"{value:.3g}" for value in grid.spacing_mm)
    return f"{grid.shape} voxels of {spacing} mm from ({', '.join(f'{value:.2f}' for value in grid.origin_mm)})"


def _elsewhere(reference: str, prediction: str) -> CaseRefused:
    return CaseRefused(
        DefectCode.GEOMETRY_MISMATCH,
        f"a prediction on the grid of the reference, {reference}",
        prediction,
        "predict on the image's own grid; nothing is resampled here, because that would change the truth",
    )
