"""Rewritten networks against the networks they were made of: the same function, and nothing of the old parts left."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from networks.build import build
from networks.configs import DenseUNet3DConfig, DenseUNetConfig
from networks.densenet import DenseEncoder
from networks.inference import for_inference
from networks.inference_layers import DoublingStage
from tests.networks.conftest import noise, settled
from tests.networks.inference_cases import CASES, SMALL, answers, lively


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_all_answers_are_the_networks(case: str, dtype: torch.dtype, tolerance: float) -> None:
    config, shape = CASES[case]
    network, x = lively(config).to(dtype), noise(*shape).to(dtype)
    given = x.clone()
    with torch.inference_mode():
        expected, got = list(answers(network, x)), list(answers(for_inference(network), x))
    assert torch.equal(x, given)
    assert len(got) == len(expected)
    for (name, wanted), (_, answer) in zip(expected, got, strict=True):
        assert answer.dtype == wanted.dtype == dtype
        assert answer.shape == wanted.shape, name
        assert wanted.std() > 1e-3, name  # An answer that says nothing would prove nothing.
        error = (answer - wanted).abs().max() / wanted.abs().max()
        assert error <= tolerance, (name, error)


@pytest.mark.parametrize("case", CASES)
def test_bfloat16_is_near(case: str) -> None:
    """Eight bits of mantissa: 99 % of the labels, probabilities to 0.1 at worst and to 0.01 in the root mean square."""
    config, shape = CASES[case]
    network, x = settled(config), noise(*shape)
    quick = for_inference(network, torch.bfloat16)
    with torch.inference_mode():
        wanted, got = network(x), quick(x)
    assert got.dtype == torch.float32
    sigmoid = wanted.shape[1] == 1
    truth, found = (logits.sigmoid() if sigmoid else logits.softmax(dim=1) for logits in (wanted, got))
    assert not torch.equal(truth, found)
    assert (truth - found).abs().max() < 0.1
    assert (truth - found).square().mean().sqrt() < 0.01
    labels, own = (p > 0.5 if sigmoid else p.argmax(dim=1) for p in (truth, found))
    assert (labels == own).float().mean() >= 0.99


def test_bfloat16_inside_and_float32_outside() -> None:
    config, shape = CASES["h_dense_unet"]
    network = settled(config)
    quick = for_inference(network, torch.bfloat16)
    with torch.inference_mode():
        features, logits = quick.slice_network.features_and_logits(noise(1, 3, 32, 32))
        maps = quick.slice_maps(noise(4, 3, 32, 32)).transpose(0, 1)[None]
        heads = quick.head_logits(noise(*shape))
        assert quick.fuse(maps[:, :4], maps[:, 4:]).dtype == torch.float32
        assert quick.fuse(maps[:, :4].bfloat16(), maps[:, 4:].bfloat16()).dtype == torch.float32
    assert features.dtype == torch.bfloat16
    assert {logits.dtype, *(head.dtype for head in heads)} == {torch.float32}
    kernels = [p for p in quick.parameters() if p.ndim > 1]
    assert kernels
    assert {p.dtype for p in kernels} == {torch.bfloat16}
    norms = [part for part in quick.modules() if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d)]
    assert norms
    assert {value.dtype for part in norms for value in (part.weight, part.running_var)} == {torch.float32}


def seen_types(network: nn.Module, x: Tensor) -> dict[torch.dtype, int]:
    counts: dict[torch.dtype, int] = {}

    def note(_part: nn.Module, _given: Any, answer: Tensor) -> None:
        counts[answer.dtype] = counts.get(answer.dtype, 0) + 1

    for part in network.modules():
        if not list(part.children()):
            part.register_forward_hook(note)
    with torch.inference_mode():
        network(x)
    return counts


@pytest.mark.parametrize("case", ["dense_unet", "dense_unet_3d", "unet_plus_plus batch 3d"])
def test_bfloat16_stays_so_from_layer_to_layer(case: str) -> None:
    config, shape = CASES[case]
    assert set(seen_types(for_inference(settled(config), torch.bfloat16), noise(*shape))) == {torch.bfloat16}


@pytest.mark.parametrize("case", ["dense_unet", "dense_unet_3d", "h_dense_unet", "unet_plus_plus"])
def test_autocast_may_be_on(case: str) -> None:
    config, shape = CASES[case]
    network, x = settled(config), noise(*shape)
    quick = for_inference(network)
    with torch.inference_mode():
        wanted = network(x).softmax(dim=1)
        with torch.autocast("cpu", torch.bfloat16):
            got = quick(x).float().softmax(dim=1)
        assert 0 < (got - wanted).abs().max() < 0.1


@pytest.mark.parametrize("case", CASES)
def test_the_network_is_left_as_it_was(case: str) -> None:
    config, shape = CASES[case]
    network = build(config)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    quick = for_inference(network, torch.bfloat16)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert before.keys() == network.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    own = {value.untyped_storage().data_ptr() for value in quick.state_dict().values()}
    assert own.isdisjoint(value.untyped_storage().data_ptr() for value in network.state_dict().values())
    assert not any(part.training for part in quick.modules())
    assert not any(parameter.requires_grad for parameter in quick.parameters())
    outputs = network(noise(*shape))
    sum(part.square().mean() for part in ([outputs] if isinstance(outputs, Tensor) else outputs)).backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


@pytest.mark.parametrize("case", CASES)
def test_old_parts_are_gone(case: str) -> None:
    config, _ = CASES[case]
    network = settled(config)
    quick = for_inference(network)
    norms = [name for name, part in quick.named_modules() if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d)]
    # The one after the last dense block, which is a trunk's answer; a trunk cut above it has none.
    trunks = [name for name, part in network.named_modules() if isinstance(part, DenseEncoder)]
    assert norms == [f"{name}.norm5" for name in trunks if hasattr(network.get_submodule(name), "norm5")]
    assert not any(isinstance(part, nn.Dropout) for part in quick.modules())
    assert all(part.inplace for part in quick.modules() if isinstance(part, nn.ReLU))
    assert type(quick) is type(network)
    assert quick.config == config


@pytest.mark.parametrize(("skips", "doublings"), [(True, 1), (False, 5)])
def test_only_stages_without_a_tap_double(skips: bool, doublings: int) -> None:
    for config in (DenseUNetConfig(**SMALL, skips=skips), DenseUNet3DConfig(**SMALL, skips=skips)):
        quick = for_inference(build(config))
        assert sum(isinstance(stage, DoublingStage) for stage in quick.decoder) == doublings


def multiplications(network: nn.Module, x: Tensor) -> int:
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        network(x)
    return counter.get_total_flops() // 2


def test_multiplications_saved_are_those_of_the_formulas() -> None:
    config = DenseUNetConfig(**SMALL)
    network, side = build(config).eval(), 64
    saved = 0
    for index, (given, made) in enumerate(((20, 10), (22, 11), (17, 8)), start=2):  # transitions, at side / 2^index
        saved += given * made * (side >> index) ** 2 * 3 // 4
    saved += 8 * 8 * side**2 * (9 - 4)  # the last stage, 8 channels to 8
    x = noise(1, 3, side, side)
    assert multiplications(network, x) - multiplications(for_inference(network), x) == saved


@pytest.mark.parametrize("case", ["densenet", "dense_unet", "dense_unet_3d", "h_dense_unet", "unet_plus_plus"])
def test_empty_batch_copies_and_repetition(case: str) -> None:
    config, shape = CASES[case]
    quick, x = for_inference(settled(config)), noise(*shape)
    assert quick(x[:0]).shape == (0, *quick(x).shape[1:])  # no inference mode needed
    with torch.inference_mode():
        assert torch.equal(quick(x), quick(x))
        assert torch.equal(copy.deepcopy(quick)(x), quick(x))


def test_what_is_not_known_is_a_plain_copy() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
    plain = for_inference(network, torch.bfloat16)
    assert plain is not network
    assert [type(part) for part in plain] == [type(part) for part in network]
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in network.state_dict().items())
    assert network.training
    assert not any(part.training for part in plain.modules())
    assert not list(for_inference(nn.ReLU()).parameters())


def test_known_networks_inside_others_are_rewritten() -> None:
    config, shape = CASES["dense_unet"]
    wrapped = nn.Sequential(nn.Conv2d(3, 3, 1), lively(config)).eval()
    quick, x = for_inference(wrapped, torch.bfloat16), noise(*shape)
    assert isinstance(quick[1].decoder[-1], DoublingStage)
    assert quick[0].weight.dtype == torch.float32
    with torch.inference_mode():
        assert (quick(x) - wrapped(x)).abs().max() < 0.1 * wrapped(x).abs().max()


def test_what_cannot_be_is_refused() -> None:
    network = build(CASES["dense_unet"][0])
    with pytest.raises(ValueError, match=r"got torch\.float16"):
        for_inference(network, torch.float16)
    with pytest.raises(ValueError, match="rewritten for inference"):
        for_inference(for_inference(network))
    with pytest.raises(ValueError, match="add the batch and channel axes"):
        for_inference(network)(noise(3, 32, 32))
