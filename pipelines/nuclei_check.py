"""How well weights find nuclei in labelled micrographs, through the steps every door uses."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.io.picture import read_picture
from networks.configs import NetworkConfig
from pipelines.metrics.aggregated_jaccard import aggregated_jaccard
from pipelines.metrics.iou import iou, two_class_iou
from pipelines.metrics.panoptic import PanopticQuality, panoptic_quality
from pipelines.nuclei_data import Labelled
from pipelines.run import Pipeline
from pipelines.task import load_task
from pipelines.tasks.nuclei import Nuclei

_HALF = 0.5


@dataclass(frozen=True)
class Checked:
    """One micrograph: what the network said, what is true, and how far they agree.

    Attributes:
        case: The micrograph.
        probability: (H, W) uint8 in 1/255.
        nuclei: (H, W), numbered as they were found.
        two_class_iou: Mean over thresholds, as the authors of UNet++ count.
        foreground_iou: At one half.
        panoptic: Of the instances.
        aggregated_jaccard: Of the instances.
    """

    case: Labelled
    probability: NDArray[np.uint8]
    nuclei: NDArray[np.int32]
    two_class_iou: float
    foreground_iou: float
    panoptic: PanopticQuality
    aggregated_jaccard: float


def check_nuclei(weights: Path, network: NetworkConfig, cases: Sequence[Labelled]) -> list[Checked]:
    """Score labelled micrographs at their own size.

    Args:
        weights: A file.
        network: What it was made for.
        cases: None of which were trained on.

    Raises:
        WeightsError: The weights do not fit.
    """
    task = load_task("nuclei")
    pipeline = Pipeline.load(task.model_copy(update={"weights": str(weights), "network": network}), "cpu")
    if not isinstance(pipeline.task, Nuclei):
        raise TypeError(f"expected the task nuclei to be of its own kind; got {pipeline.task.kind}")
    return [_checked(pipeline.task, pipeline, case) for case in cases]


def summary(checked: Sequence[Checked]) -> dict[str, float]:
    """Figures of many micrographs: means over them, and of all their pixels or nuclei together.

    Args:
        checked: At least one.
    """
    truth = np.concatenate([one.case.nuclei.reshape(-1) > 0 for one in checked])
    probability = np.concatenate([one.probability.reshape(-1) for one in checked])
    panoptic = [one.panoptic for one in checked]
    together = PanopticQuality(
        matched=sum(one.matched for one in panoptic),
        invented=sum(one.invented for one in panoptic),
        missed=sum(one.missed for one in panoptic),
        iou_sum=sum(one.iou_sum for one in panoptic),
    )
    figures = {
        "micrographs": len(checked),
        "two_class_iou": _mean([one.two_class_iou for one in checked]),
        "two_class_iou_pooled": two_class_iou(_share(probability), truth),
        "foreground_iou": _mean([one.foreground_iou for one in checked]),
        "foreground_iou_pooled": iou(_share(probability) > _HALF, truth),
        "panoptic_quality": _mean([one.quality for one in panoptic]),
        "panoptic_quality_pooled": together.quality,
        "recognition_quality_pooled": together.recognition,
        "segmentation_quality_pooled": together.segmentation,
        "aggregated_jaccard": _mean([one.aggregated_jaccard for one in checked]),
    }
    return {name: round(float(figure), 4) for name, figure in figures.items()}


def _checked(task: Nuclei, pipeline: Pipeline, case: Labelled) -> Checked:
    image = read_picture(case.picture).image
    with torch.inference_mode():
        prediction = task.infer(pipeline.network, task.preprocess(image), image, pipeline.compute)
    if prediction.probabilities is None:
        raise ValueError("expected a prediction with probabilities, as infer gives it; got none")
    probability = np.ascontiguousarray(prediction.probabilities.slices()[0])
    nuclei, truth = task.nuclei(prediction, image), case.nuclei > 0
    return Checked(
        case=case,
        probability=probability,
        nuclei=nuclei,
        two_class_iou=two_class_iou(_share(probability), truth),
        foreground_iou=iou(_share(probability) > _HALF, truth),
        panoptic=panoptic_quality(nuclei, case.nuclei),
        aggregated_jaccard=aggregated_jaccard(nuclei, case.nuclei),
    )


def _share(probability: NDArray[np.uint8]) -> NDArray[np.float32]:
    return probability.astype(np.float32) / np.float32(255.0)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
