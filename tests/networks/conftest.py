"""The battery every network passes: a test class inherits it and names a compact config, sizes and published counts."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import yaml
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from networks.build import build, parameter_count
from networks.configs import NetworkConfig


def settled(config: NetworkConfig, seed: int = 0) -> nn.Module:
    """A network in evaluation mode whose normalisations have statistics and affine maps like a trained one's."""
    network = build(config, seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
                part.running_mean.normal_(0.0, 0.3, generator=generator)
                part.running_var.uniform_(0.5, 2.0, generator=generator)
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.normal_(0.0, 0.3, generator=generator)
    return network


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _total(output: Tensor | list[Tensor]) -> Tensor:
    """A scalar to which every number of the output contributes with a weight of its own."""
    outputs = [output] if isinstance(output, Tensor) else output
    return sum(
        ((part * noise(*part.shape, seed=7 + index)).sum() for index, part in enumerate(outputs)), torch.zeros(())
    )


class NetworkBattery:
    """What holds for every network; subclasses give the class variables."""

    config: ClassVar[NetworkConfig]
    odd_size: ClassVar[tuple[int, ...]]
    size_by_hand: ClassVar[tuple[int, ...]]
    published_counts: ClassVar[tuple[tuple[int, NetworkConfig], ...]] = ()
    dense: ClassVar[bool] = True  # one answer per pixel, not per image

    @pytest.fixture
    def network(self) -> nn.Module:
        return settled(self.config)

    @pytest.fixture
    def odd(self) -> Tensor:
        return noise(2, self.config.in_channels, *self.odd_size)

    def test_parameters_are_counted_as_published(self) -> None:
        for published, config in self.published_counts:
            assert parameter_count(config) == published, config

    def test_shape(self, network: nn.Module, odd: Tensor) -> None:
        answer = network(odd)
        size = self.odd_size if self.dense else ()
        assert answer.shape == (2, self.config.out_channels, *size)
        assert answer.dtype == torch.float32
        assert torch.isfinite(answer).all()

    def test_empty_batch(self, network: nn.Module, odd: Tensor) -> None:
        assert network(odd[:0]).shape == (0, *network(odd).shape[1:])

    def test_gradient_reaches_every_parameter(self, odd: Tensor) -> None:
        # Evaluation mode: a bias before batch statistics cannot matter in training, before running ones it does.
        network = settled(self.config)
        _total(network(odd)).backward()
        still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert still == []

    def test_training_step_is_finite(self, odd: Tensor) -> None:
        network = build(self.config)
        _total(network(odd)).backward()
        lost = [n for n, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
        assert lost == []

    def test_odd_size_is_padding_by_hand(self, network: nn.Module, odd: Tensor) -> None:
        missing = [by_hand - own for own, by_hand in zip(self.odd_size, self.size_by_hand, strict=True)]
        assert any(missing)
        padded = np.pad(odd.numpy(), [(0, 0), (0, 0), *((0, amount) for amount in missing)], mode="edge")
        by_hand = network(torch.from_numpy(padded))
        if self.dense:
            by_hand = by_hand[(..., *(slice(length) for length in self.odd_size))]
        torch.testing.assert_close(network(odd), by_hand, rtol=0, atol=1e-5)

    def test_saved_and_loaded_is_the_same(self, network: nn.Module, odd: Tensor, tmp_path: Path) -> None:
        save_file(network.state_dict(), tmp_path / "weights.safetensors")
        other = build(self.config, seed=99).eval()
        assert not torch.equal(other(odd), network(odd))
        other.load_state_dict(load_file(tmp_path / "weights.safetensors"), strict=True)
        assert torch.equal(other(odd), network(odd))

    def test_seed_decides_the_weights(self, odd: Tensor) -> None:
        first, again, other = (build(self.config, seed=seed).eval()(odd) for seed in (3, 3, 4))
        assert torch.equal(first, again)
        assert not torch.allclose(first, other)

    def test_evaluation_repeats_itself(self, network: nn.Module, odd: Tensor) -> None:
        assert torch.equal(network(odd), network(odd))

    def test_images_of_a_batch_do_not_meet(self, network: nn.Module, odd: Tensor) -> None:
        apart = torch.cat([network(odd[:1]), network(odd[1:])])
        torch.testing.assert_close(network(odd), apart, rtol=0, atol=1e-5)

    def test_what_hooks_see_is_not_overwritten(self, odd: Tensor) -> None:
        network, seen = settled(self.config), []

        def keep(part: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen.append((part, output, output.detach().clone()))

        for part in network.modules():
            if not list(part.children()) and part is not network:
                part.register_forward_hook(keep)
        given = odd.clone()
        with torch.no_grad():
            network(odd)
        assert torch.equal(given, odd)
        assert len(seen) > 5
        assert [part for part, output, then in seen if not torch.equal(output, then)] == []

    def test_wrong_channels_are_refused(self, network: nn.Module) -> None:
        with pytest.raises(ValueError, match=r"expected \(N, \d, .*got .*; add the batch"):
            network(noise(1, self.config.in_channels + 1, *self.odd_size))

    def test_missing_batch_axis_is_refused(self, network: nn.Module, odd: Tensor) -> None:
        with pytest.raises(ValueError, match="add the batch and channel axes"):
            network(odd[0])

    def test_config_survives_yaml(self) -> None:
        for config in (self.config, *(config for _, config in self.published_counts)):
            text = yaml.safe_dump(config.model_dump(mode="json"))
            assert TypeAdapter(NetworkConfig).validate_python(yaml.safe_load(text)) == config
