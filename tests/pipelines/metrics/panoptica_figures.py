"""What panoptica says of pairs of label maps: run by an interpreter of its own, arrays in, JSON out."""

import json
import sys

import numpy as np
from panoptica import (  # type: ignore[import-not-found]
    ConnectedComponentsInstanceApproximator,
    InputType,
    Metric,
    NaiveThresholdMatching,
    Panoptica_Evaluator,
)

# It matches pairs with an IoU of one half and more; Kirillov et al. want more than one half.
MORE_THAN_HALF = 0.5 + 1e-9


def _told(result: object) -> dict[str, float]:
    names = ("tp", "fp", "fn", "pq", "sq", "rq", "global_bin_dsc", "global_bin_iou")
    return {name: float(getattr(result, name)) for name in names}


def main(path: str) -> None:
    instances = Panoptica_Evaluator(
        expected_input=InputType.UNMATCHED_INSTANCE,
        instance_matcher=NaiveThresholdMatching(matching_threshold=MORE_THAN_HALF),
        instance_metrics=[Metric.IOU],
        global_metrics=[Metric.DSC, Metric.IOU],
    )
    masks = Panoptica_Evaluator(
        expected_input=InputType.SEMANTIC,
        instance_approximator=ConnectedComponentsInstanceApproximator(),
        instance_matcher=NaiveThresholdMatching(matching_threshold=MORE_THAN_HALF),
        instance_metrics=[Metric.IOU],
        global_metrics=[Metric.DSC, Metric.IOU],
    )
    figures = []
    with np.load(path, allow_pickle=False) as arrays:
        for number in range(len(arrays.files) // 2):
            prediction, reference = arrays[f"prediction_{number}"], arrays[f"reference_{number}"]
            one = next(iter(instances.evaluate(prediction, reference, verbose=False).values()))
            both = [(labels > 0).astype(np.uint8) for labels in (prediction, reference)]
            other = next(iter(masks.evaluate(*both, verbose=False).values()))
            figures.append({"instances": _told(one), "masks": _told(other)})
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
