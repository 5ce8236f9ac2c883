from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from networks.build import build
from networks.configs import (
    DenseEncoderConfig,
    DenseNetConfig,
    DenseUNet3DConfig,
    DenseUNetConfig,
    HDenseUNetConfig,
    NetworkConfig,
    UNetPlusPlusConfig,
)
from networks.densenet import DenseBlock, DenseStyle
from networks.recompute import StatisticsAside
from tests.networks.conftest import noise

SMALL = {"block_config": (2, 3, 2, 2), "growth_rate": 4, "init_features": 8}
UP = SMALL | {"feature_channels": 8}
CASES = {
    "2D": (DenseNetConfig(**SMALL, out_channels=3), (64, 64)),
    "2D, dropout": (DenseNetConfig(**SMALL, out_channels=3, dropout=0.3), (64, 64)),
    "3D, dropout": (DenseNetConfig(**SMALL, spatial_dims=3, out_channels=3, dropout=0.2), (32, 40, 64)),
    "DenseUNet": (DenseUNetConfig(**UP), (32, 64)),
    "DenseUNet, scSE": (DenseUNetConfig(**UP, scse="sum", dropout=0.0, norm_momentum=0.1), (32, 64)),
    "UNet++": (UNetPlusPlusConfig(encoder=DenseEncoderConfig(**SMALL), features=(4,) * 5, in_channels=3), (32, 64)),
    "3D DenseUNet": (DenseUNet3DConfig(**UP, in_channels=3, dropout=0.2), (4, 32, 64)),
}


def pair(config: NetworkConfig) -> list[nn.Module]:
    """Two networks of the same weights: one keeps its maps, one makes them again."""
    if isinstance(config, UNetPlusPlusConfig):
        assert config.encoder is not None
        encoders = [config.encoder.model_copy(update={"checkpointing": again}) for again in (False, True)]
        return [build(config.model_copy(update={"encoder": encoder})) for encoder in encoders]
    return [build(config.model_copy(update={"checkpointing": again})) for again in (False, True)]


def learn(network: nn.Module, images: Tensor, autocast: bool = False) -> dict[str, Tensor]:
    """All there is to compare after two steps: losses, gradients, parameters, statistics, the generator's state."""
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.05, momentum=0.9)
    found = {}
    torch.manual_seed(11)
    for step in range(2):
        optimiser.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16) if autocast else nullcontext():
            output = network(images + step)
        outputs = output if isinstance(output, list) else [output]
        loss = sum(((part * noise(*part.shape, seed=3)).mean() for part in outputs), torch.zeros(()))
        loss.backward()
        found[f"loss {step}"] = loss.detach()
        found |= {
            f"{name} gradient {step}": p.grad.clone() for name, p in network.named_parameters() if p.grad is not None
        }
        optimiser.step()
    return found | network.state_dict() | {"generator": torch.get_rng_state()}


def differing(naive: dict[str, Tensor], checkpointed: dict[str, Tensor], tolerance: float = 1e-12) -> list[str]:
    assert naive.keys() == checkpointed.keys()
    return [
        key
        for key, value in naive.items()
        if not torch.allclose(value.double(), checkpointed[key].double(), rtol=tolerance, atol=tolerance)
    ]


@pytest.mark.parametrize("case", CASES)
def test_two_steps_change_what_plain_ones_do(case: str) -> None:
    config, size = CASES[case]
    images = noise(2, config.in_channels, *size).double()
    naive, checkpointed = (learn(network.double(), images) for network in pair(config))
    assert differing(naive, checkpointed) == []
    counted = {key: int(value) for key, value in checkpointed.items() if key.endswith("num_batches_tracked")}
    assert len(counted) > 20
    assert set(counted.values()) == {2}


def test_images_have_gradients_too() -> None:
    gradients = []
    for network in pair(CASES["2D"][0]):
        images = noise(2, 3, 64, 64).double().requires_grad_()
        network.double()(images).square().sum().backward()
        gradients.append(images.grad)
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-12)


def test_autocast_holds_going_back() -> None:
    config, size = CASES["DenseUNet"]
    images = noise(2, 3, *size)
    naive, checkpointed = (learn(network, images, autocast=True) for network in pair(config))
    # The same roundings in the same order; computed again in float32 gradients would differ by a hundredth.
    assert differing(naive, checkpointed, 1e-6) == []
    assert differing(learn(pair(config)[1], images), checkpointed, 1e-3) != []


def test_frozen_normalisations_stay_frozen() -> None:
    def hybrid(checkpointing: bool) -> nn.Module:
        widths: dict[str, Any] = UP | {"checkpointing": checkpointing}
        return build(
            HDenseUNetConfig(
                slice_network=DenseUNetConfig(**widths),
                volume_network=DenseUNet3DConfig(**widths, in_channels=4),
                context_scale=1.0,
            )
        ).double()

    volume = noise(1, 1, 4, 32, 32).double()
    before = {key: value.clone() for key, value in hybrid(True).state_dict().items() if "running" in key}
    naive, checkpointed = (learn(hybrid(checkpointing), volume) for checkpointing in (False, True))
    assert differing(naive, checkpointed) == []
    assert [key for key, value in before.items() if not torch.equal(value, checkpointed[key])] == []


def test_going_back_twice_counts_the_batch_once() -> None:
    found = []
    for network in pair(CASES["2D, dropout"][0]):
        torch.manual_seed(5)
        loss = network.double()(noise(2, 3, 64, 64).double()).square().sum()
        loss.backward(retain_graph=True)
        loss.backward()
        found.append({name: p.grad for name, p in network.named_parameters()} | dict(network.named_buffers()))
    assert differing(*found) == []


def calls(network: nn.Module) -> list[str]:
    """Names of the 1x1 convolutions in dense layers, appended whenever one is computed."""
    found: list[str] = []
    for name, part in network.named_modules():
        if "denselayer" in name and name.endswith("conv1"):
            part.register_forward_hook(lambda *_, name=name: found.append(name))
    return found


@pytest.mark.parametrize("case", CASES)
def test_layers_are_made_again_in_training_alone(case: str) -> None:
    config, size = CASES[case]
    network = pair(config)[1]
    found, images = calls(network), noise(2, config.in_channels, *size)
    output = network(images)
    assert len(found) == 9
    (sum(part.sum() for part in output) if isinstance(output, list) else output.sum()).backward()
    assert len(found) == 18
    assert sorted(found[9:]) == sorted(found[:9])
    network.eval()(images).sum().backward()
    assert len(found) == 27
    with torch.no_grad():
        network.train()(images)
    assert len(found) == 36


def test_answer_in_evaluation_is_the_plain_one() -> None:
    plain, checkpointed = pair(CASES["DenseUNet"][0])
    images = noise(2, 3, 32, 64)
    assert torch.equal(plain.eval()(images), checkpointed.eval()(images))


def test_shapes_of_training_need_no_memory() -> None:
    network = build(DenseNetConfig(out_channels=14, checkpointing=True), device="meta")
    assert network(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 14)


def kept_bytes(network: nn.Module, images: Tensor) -> int:
    """What autograd keeps of a forward pass, each piece of memory once, weights and statistics not counted."""
    own = {value.untyped_storage().data_ptr() for value in network.state_dict().values()}
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        memory = value.untyped_storage()
        if memory.data_ptr() not in own:
            kept[memory.data_ptr()] = memory.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        answer = network(images)  # held until the sum is made, so that no memory is used twice
    assert answer.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("layers", [6, 12, 24])
def test_memory_of_a_block_grows_with_its_layers_not_their_square(layers: int) -> None:
    channels, growth, images = 8, 4, noise(2, 8, 16, 16)
    plain, checkpointed = (
        kept_bytes(DenseBlock(DenseStyle(2, checkpointing=again), channels, growth, layers), images)
        for again in (False, True)
    )
    map_bytes = 2 * 16 * 16 * 4  # one channel
    # What the last layer made is nobody's input.
    assert checkpointed == map_bytes * (channels + (layers - 1) * growth)
    # A layer keeps what each normalisation and each convolution is given: C channels twice, 4k twice.
    wide = sum(2 * (channels + index * growth) + 8 * growth for index in range(layers))
    assert plain == pytest.approx(map_bytes * wide, rel=0.01)  # and the batch's means and variances


def test_memory_of_densenet_121_is_less_than_a_quarter() -> None:
    images = noise(2, 3, 64, 64)
    plain, checkpointed = (kept_bytes(network, images) for network in pair(DenseNetConfig(out_channels=14)))
    assert 4 * checkpointed < plain


def test_failure_on_the_way_back_leaves_the_statistics() -> None:
    network = build(DenseNetConfig(**SMALL, out_channels=3, checkpointing=True))
    loss = network(noise(2, 3, 64, 64)).sum()
    before = {name: (statistic, statistic.clone()) for name, statistic in network.named_buffers()}

    def fail(*_: object) -> None:
        raise ArithmeticError

    network.features.denseblock2.denselayer2.conv1.register_forward_hook(fail)
    with pytest.raises(ArithmeticError):
        loss.backward()
    for name, statistic in network.named_buffers():
        assert statistic is before[name][0]
        assert torch.equal(statistic, before[name][1])


def test_statistics_aside_may_be_entered_again() -> None:
    norm = nn.BatchNorm2d(2)
    aside, images = StatisticsAside(norm), noise(4, 2, 3, 3)
    norm(images)
    after_one = {name: value.clone() for name, value in norm.named_buffers()}
    for _ in range(2):
        with aside:
            norm(images + 1)
            assert not torch.equal(norm.running_mean, after_one["running_mean"])
            assert int(norm.num_batches_tracked) == 2
    assert all(torch.equal(value, after_one[name]) for name, value in norm.named_buffers())
