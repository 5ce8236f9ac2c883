"""Factor and shift that settle a network: what they do by formula, and that they are what agrees best."""

import numpy as np
import pytest
import torch

from networks.build import build
from networks.configs import NetworkConfig, UNetConfig, UNetPlusPlusConfig
from pipelines.metrics.iou import two_class_iou
from pipelines.nuclei_settling import FACTORS, SHIFTS, head_of, settle, two_class_iou_of_logits
from tests.pipelines.labelled_discs import cells

SMALL: list[NetworkConfig] = [
    UNetConfig(features=(4, 8), in_channels=3, out_channels=3, normalisation="batch"),
    UNetPlusPlusConfig(
        features=(4, 8, 8), in_channels=3, out_channels=3, normalisation="batch", deep_supervision=True, mode="fast"
    ),
]


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 0.0), (2.0, 0.75), (1.5, -0.5)])
def test_agreement_is_that_of_the_probabilities(factor: float, shift: float) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0.0, 2.0, (3, 20, 30)).astype(np.float32)
    truth = rng.random((20, 30)) < 0.3
    changed = torch.from_numpy(logits) * factor + torch.tensor([shift, 0.0, 0.0])[:, None, None]
    nucleus = 1.0 - torch.softmax(changed, dim=0)[0].numpy()
    assert two_class_iou_of_logits(logits, truth, factor, shift) == pytest.approx(two_class_iou(nucleus, truth))


def test_nothing_there_and_nothing_said_agree() -> None:
    nothing = np.stack([np.full((4, 4), 9.0), np.zeros((4, 4)), np.zeros((4, 4))]).astype(np.float32)
    assert two_class_iou_of_logits(nothing, np.zeros((4, 4), bool), 1.0, 0.0) == 1.0


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.name)
def test_the_head_says_what_was_chosen_and_nothing_agrees_better(config: NetworkConfig) -> None:
    network, learnt = build(config, seed=1).eval(), [cells(seed) for seed in range(3)]
    images = [torch.from_numpy(case.pixels.copy()).float()[None] / 255.0 for case in learnt]
    with torch.no_grad():
        head_of(network).weight.mul_(20.0)  # So that an untrained network says something.
        before = [network(image)[0] for image in images]
        factor, shift = settle(network, learnt)
        after = [network(image)[0] for image in images]
    for old, new in zip(before, after, strict=True):
        expected = old * factor + torch.tensor([shift, 0.0, 0.0])[:, None, None]
        torch.testing.assert_close(new, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))

    def agreement(chosen_factor: float, chosen_shift: float) -> float:
        truths = [case.nuclei > 0 for case in learnt]
        values = [
            two_class_iou_of_logits(old.numpy(), truth, chosen_factor, chosen_shift)
            for old, truth in zip(before, truths, strict=True)
        ]
        return float(np.mean(values))

    best = max(agreement(one, other) for one in FACTORS for other in SHIFTS)
    assert agreement(factor, shift) == pytest.approx(best)


def test_other_networks_have_no_such_head() -> None:
    with pytest.raises(TypeError, match="U-Net"):
        head_of(torch.nn.Linear(2, 2))
