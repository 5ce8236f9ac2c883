"""Trains the weights of the nuclei task: `python -m pipelines.nuclei_weights --data DIR`.

UNet++ with deep supervision learns background, interior and border of nuclei from labelled micrographs
(`pipelines.nuclei_data` says how the folder looks and which of them are kept for validation). `--network unet` trains
the plain U-Net of the same widths in the same way, to be measured beside it. The figures on what was kept go into the
card. `--after FILE --done N` takes the weights of the first N rounds from a file (from before they were settled) and
learns the others alone.
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.build import build
from networks.configs import NetworkConfig, UNetConfig
from pipelines.classifier_training import ClassifierSchedule, learn_classes, train_classifier
from pipelines.model_store import SHIPPED_FOLDER, Card, load_weights, save_weights
from pipelines.nuclei_augmentation import Crops, batches
from pipelines.nuclei_check import check_nuclei, summary
from pipelines.nuclei_data import Labelled, read_labelled, split
from pipelines.nuclei_settling import settle
from pipelines.phantom_training import Batches
from pipelines.task import load_task

_LOG = logging.getLogger(__name__)

TASK = "nuclei"
# A nucleus of which a crop has only a sliver does not decide alone.
_SMOOTHING_PX = 10.0
NAMES = {"unet_plus_plus": "nuclei", "unet": "nuclei_unet"}


@dataclass(frozen=True)
class Round:
    """One schedule of a training, and the edge of the crops it is learnt from."""

    schedule: ClassifierSchedule
    size_px: int = 128

    def crops(self, learnt: Sequence[Labelled]) -> Batches:
        """What to learn from in this round."""
        schedule = self.schedule
        return batches(learnt, Crops(schedule.steps, schedule.batch, size_px=self.size_px, seed=schedule.seed))

    def cut(self, steps: int) -> "Round":
        """The round with no more steps than that."""
        return replace(self, schedule=replace(self.schedule, steps=min(self.schedule.steps, steps)))


def _schedule(steps: int, batch: int, peak_rate: float, seed: int) -> ClassifierSchedule:
    return ClassifierSchedule(
        steps, batch, peak_rate, weight_decay=0.01, averaged_steps=300, check_every=100, seed=seed
    )


# After one round the pictures that were learnt from were still not told better than those that were kept. A third one
# of 6000 steps on crops of 192 pixels made nothing better.
ROUNDS = (
    Round(_schedule(9000, 6, 3e-3, seed=0)),
    Round(_schedule(7000, 6, 2e-3, seed=1)),
)


def loss_of(answers: Tensor | list[Tensor], classes: Tensor) -> Tensor:
    """Mean over the heads of cross-entropy over the three classes plus one minus Dice of the nuclei.

    Dice of p(interior) + p(border) makes probabilities decided, which a mean over thresholds up to 0.95 asks for. It
    is taken crop by crop, so that few and dim nuclei count as much as many and bright ones; a crop without nuclei has
    cross-entropy alone.

    Args:
        answers: Logits (N, 3, H, W), of every head or of the one there is.
        classes: (N, H, W) integers.
    """
    heads = answers if isinstance(answers, list) else [answers]
    truth = (classes > 0).flatten(1).float()
    size = truth.sum(dim=1)
    share = (size > 0).float() / (size > 0).sum().clamp(min=1)
    values = []
    for logits in heads:
        nuclei = 1.0 - torch.softmax(logits, dim=1)[:, 0].flatten(1)
        both = 2.0 * (nuclei * truth).sum(dim=1)
        overlap = (both + _SMOOTHING_PX) / (nuclei.sum(dim=1) + size + _SMOOTHING_PX)
        values.append(functional.cross_entropy(logits, classes) + (share * (1.0 - overlap)).sum())
    return torch.stack(values).mean()


def network_of(name: str) -> NetworkConfig:
    """The task's own network, or the plain U-Net of its widths."""
    own = load_task(TASK).network
    if name == own.name or own.name != "unet_plus_plus":
        return own
    return UNetConfig(
        in_channels=own.in_channels,
        out_channels=own.out_channels,
        features=own.features,
        normalisation=own.normalisation,
    )


def learn(
    config: NetworkConfig, learnt: Sequence[Labelled], rounds: Sequence[Round] = ROUNDS, after: Path | None = None
) -> nn.Module:
    """Train a network round by round; in eval mode.

    Args:
        config: What to train.
        learnt: Micrographs to learn from.
        rounds: At least one of a new network.
        after: Weights to go on from; None for a new network.

    Raises:
        WeightsError: The weights do not fit.
    """
    if after is None:
        first, *rounds = rounds
        network = train_classifier(config, first.crops(learnt), loss_of, first.schedule)
    else:
        network = build(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        load_weights(network, config, after)
    for one in rounds:
        network = learn_classes(network.train(), one.crops(learnt), loss_of, one.schedule)
    return network


def main(arguments: list[str] | None = None) -> int:
    """Train, check on what was kept, and write the weights with their card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with images and labels")
    parser.add_argument("--out", type=Path, default=SHIPPED_FOLDER)
    parser.add_argument("--network", choices=sorted(NAMES), default="unet_plus_plus")
    parser.add_argument("--after", type=Path, help="weights to go on from, with --done")
    parser.add_argument("--done", type=int, choices=range(1, len(ROUNDS) + 1), default=1, help="rounds behind --after")
    parser.add_argument("--steps", type=int, default=ROUNDS[0].schedule.steps, help="at most, of each round")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)  # A process of its own; sums in one order, so that it can be repeated.
    learnt, kept = split(read_labelled(options.data))
    _LOG.info("%d micrographs to learn from, %d kept", len(learnt), len(kept))
    config = network_of(options.network)
    rounds = [one.cut(options.steps) for one in ROUNDS[0 if options.after is None else options.done :]]
    network = learn(config, learnt, rounds, options.after).eval()
    factor, shift = settle(network, learnt)
    _LOG.info("settled on whole pictures: logits times %g, background's and %g", factor, shift)
    options.out.mkdir(parents=True, exist_ok=True)
    card = _card(NAMES[options.network], len(learnt))
    path = options.out / f"{card.name}.safetensors"
    save_weights(network, config, card, path)
    held_out = summary(check_nuclei(path, config, kept))
    save_weights(network, config, card.model_copy(update={"held_out": held_out}), path)
    for name, figure in held_out.items():
        _LOG.info("%s: %.4f", name, figure)
    return 0


def _card(name: str, micrographs: int) -> Card:
    return Card(
        name=name,
        task=TASK,
        trained_on=f"{micrographs} micrographs of the Data Science Bowl 2018 (stage 1, corrected labels, CC0)",
        limits="research only; nuclei unlike those of the Data Science Bowl 2018: see docs/model-cards/nuclei.md",
        phantom=False,
    )


if __name__ == "__main__":
    raise SystemExit(main())
