"""A contestant in its own process: network, weights, input, and the function that is timed."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import _peers as peers
from benchmarks._cases import CASES, MONAI, PEER, Case, noise, with_checkpointing
from benchmarks._contest import Run, Save
from networks.build import build
from networks.configs import DenseNetConfig, HDenseUNetConfig, UNetPlusPlusConfig
from networks.inference import for_inference


def contestant(order: dict[str, Any]) -> tuple[Run, Save]:
    """Load one contestant.

    Args:
        order: `case`, `who`, `work`, `quick` and `weights`, a file of `scaled_weights`.

    Returns:
        A run, and what saves its answer as (N, C, *size) float32.
    """
    case, work, who = CASES[order["case"]], order["work"], order["who"]
    weights = load_file(order["weights"])
    x = noise(case.size(work, order["quick"]), case.spread)
    predict: Callable[[Tensor], Any]
    if who in (PEER, MONAI):
        predict, parameters = _peer(case, who, weights, work == "training")
        x = _slices_last(x)
    else:
        network = _ours(case, who, weights, work == "training")
        predict, parameters = network, list(network.parameters())
        x = _channels_last(x)
    sigmoid = isinstance(case.config, UNetPlusPlusConfig)
    if work == "training":
        target = _slices_last(_target(case, order["quick"])) if who == PEER else _target(case, order["quick"])
        return partial(_step, predict, x, target, _optimiser(parameters), who.startswith("bf16")), _no_answer
    return partial(_answer, predict, x, sigmoid), partial(_save, who == PEER)


def _peer(
    case: Case, who: str, weights: dict[str, Tensor], training: bool
) -> tuple[Callable[[Tensor], Any], list[Tensor]]:
    if who == MONAI or case.heads is None:
        network = _monai(case, weights).train(training)
        return network, list(network.parameters())
    weights = peers.slices_last(weights)
    learnt = [value for key, value in weights.items() if key.rpartition(".")[2] in {"weight", "bias"}]
    for value in learnt:
        value.requires_grad_(training)
    # H-DenseUNet end to end: the statistics of all normalisations are frozen.
    frozen = isinstance(case.config, HDenseUNetConfig)
    layers = peers.Layers(weights, training, batch_statistics=training and not frozen)
    return partial(case.heads, layers), learnt


def _monai(case: Case, weights: dict[str, Tensor]) -> nn.Module:
    # Imported by name: MONAI takes longer to import than most contestants to load.
    nets = import_module("monai.networks.nets")
    if isinstance(case.config, DenseNetConfig):
        network: nn.Module = nets.DenseNet121(2, case.config.in_channels, case.config.out_channels)
        network.load_state_dict(peers.monai_densenet(weights))
        return network
    widths = (32, 64, 128, 256, 512, 32)
    twin: nn.Module = nets.BasicUNetPlusPlus(2, 1, 1, features=widths, deep_supervision=True)
    return twin


def _ours(case: Case, who: str, weights: dict[str, Tensor], training: bool) -> nn.Module:
    config = with_checkpointing(case.config) if who.endswith("recomputing") else case.config
    network = build(config)
    network.load_state_dict(weights)
    if not training:
        return for_inference(network.eval(), dtype=torch.bfloat16 if who.startswith("bf16") else None)
    for parameter in network.parameters():
        parameter.data = _channels_last(parameter.data)
    return network.train()


def _answer(predict: Callable[[Tensor], Any], x: Tensor, sigmoid: bool) -> Tensor:
    """The network's answer; where `sigmoid` the mean of the probabilities of all heads there are."""
    with torch.inference_mode():
        given = predict(x)
        heads = [given] if isinstance(given, Tensor) else given
        answer = torch.stack([head.sigmoid() for head in heads]).mean(dim=0) if sigmoid else heads[-1]
        assert isinstance(answer, Tensor)
        return answer


def _step(
    predict: Callable[[Tensor], Any], x: Tensor, target: Tensor, optimiser: torch.optim.Optimizer, bf16: bool
) -> None:
    """One training step: the sum of the losses of all heads, back, and a step of SGD."""
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        given = predict(x)
    loss = torch.zeros(())
    for head in [given] if isinstance(given, Tensor) else given:
        logits = head.float()
        dense = target.dtype == torch.int64
        one = functional.cross_entropy if dense else functional.binary_cross_entropy_with_logits
        loss = loss + one(logits, target)
    loss.backward()
    optimiser.step()


def _optimiser(parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
    # Authors' train_hybrid.py: SGD, 1e-3, momentum 0.9, Nesterov.
    return torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, nesterov=True)


def _target(case: Case, quick: bool) -> Tensor:
    """Classes (N, *size) of several exclusive ones, else yes or no (N, C, *size) or (N, C), drawn by lot."""
    batch, _, *size = case.size("training", quick)
    classes, generator = case.config.out_channels, torch.Generator().manual_seed(1)
    if isinstance(case.config, DenseNetConfig):
        return torch.randint(2, (batch, classes), generator=generator).float()
    if classes == 1:
        return torch.randint(2, (batch, 1, *size), generator=generator).float()
    return torch.randint(classes, (batch, *size), generator=generator)


def _channels_last(x: Tensor) -> Tensor:
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.contiguous(memory_format=formats[x.ndim]) if x.ndim in formats else x


def _slices_last(x: Tensor) -> Tensor:
    """(N, C, D, H, W) to (N, C, H, W, D), classes (N, D, H, W) to (N, H, W, D); anything else as it is."""
    if x.ndim == 5:
        return x.permute(0, 1, 3, 4, 2).contiguous()
    return x.permute(0, 2, 3, 1).contiguous() if x.ndim == 4 and x.dtype == torch.int64 else x


def _save(slices_last: bool, answer: Tensor, path: Path) -> None:
    if slices_last and answer.ndim == 5:
        answer = answer.permute(0, 1, 4, 2, 3)
    np.save(path, answer.float().numpy())


def _no_answer(answer: None, path: Path) -> None:
    """A training step answers nothing."""
