import re

import pytest
import torch
from monai.networks.nets.densenet import DenseNet as MonaiDenseNet
from pydantic import ValidationError
from torch import Tensor, nn

from networks.build import build, parameter_count
from networks.configs import DenseEncoderConfig, DenseNetConfig, UNetPlusPlusConfig
from tests.networks.conftest import NetworkBattery, noise, settled
from tests.networks.unet_transcription import unet_plus_plus

TRUNK = {"block_config": (2, 1, 2), "growth_rate": 4, "init_features": 6}
SHALLOW = {"block_config": (1, 2), "growth_rate": 4, "init_features": 6}
COMPACT = UNetPlusPlusConfig(in_channels=3, out_channels=2, encoder=TRUNK, features=(5, 6, 7, 8))
COMPACT_3D = UNetPlusPlusConfig(spatial_dims=3, encoder=SHALLOW, features=(5, 6, 7), normalisation="none")
DENSENET_201 = UNetPlusPlusConfig(in_channels=3, encoder={})
ONE_HEAD = {"deep_supervision": False, "mode": "fast"}


class TestDenseEncoder2D(NetworkBattery):
    config = COMPACT
    odd_size, size_by_hand = (33, 16), (48, 16)


class TestDenseEncoder3D(NetworkBattery):
    config = COMPACT_3D
    odd_size, size_by_hand = (7, 10, 17), (8, 16, 24)


class TestPrunedDenseEncoder(NetworkBattery):
    config = COMPACT.model_copy(update={"level": 2, **ONE_HEAD})
    odd_size, size_by_hand = (33, 16), (48, 16)


def levels_of_monai(network: nn.Module, images: Tensor) -> list[Tensor]:
    """X(1,0) and on, caught in MONAI's DenseNet of these weights: ReLU of the stem, 1x1 convolutions, last norm."""
    config = network.config
    widths = config.encoder.widths
    twin = MonaiDenseNet(
        config.spatial_dims, config.in_channels, 1, widths.init_features, widths.growth_rate, widths.block_config
    ).eval()
    weights = {
        re.sub(r"^norm[1-9]", "norm5", re.sub(r"(denselayer\d+)", r"\1.layers", key)): value
        for key, value in network.encoder.state_dict().items()
    }
    twin.features.load_state_dict(weights, strict=True)
    found: list[Tensor] = []
    transitions = [f"transition{index}.conv" for index in range(1, len(widths.block_config))]
    for name in ("relu0", *transitions, "norm5"):
        twin.features.get_submodule(name).register_forward_hook(lambda *seen: found.append(seen[2].clone()))
    twin.features(images)
    return [*found[:-1], found[-1].relu()]


@pytest.mark.parametrize(
    ("config", "size"), [(COMPACT, (32, 48)), (COMPACT_3D, (8, 24, 16))], ids=["2D", "3D without normalisation"]
)
def test_equals_the_paper_written_out_on_the_levels_of_monai(config: UNetPlusPlusConfig, size: tuple[int, ...]) -> None:
    network = settled(config)
    images = noise(2, config.in_channels, *size)
    with torch.no_grad():
        levels = levels_of_monai(network, images)
        ours, expected = network.head_logits(images), unet_plus_plus(network, images, levels)
    assert len(ours) == len(levels) == len(config.features)
    assert min(head.std() for head in ours) > 0.05
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_published_encoder_has_the_published_levels() -> None:
    """Channels of layers 4, 51, 139 and 479 of Keras' DenseNet-201 and of its end; strides 2 to 32."""
    network = build(DENSENET_201, device="meta").eval()
    levels = network.encoder.levels(torch.empty(1, 3, 224, 224, device="meta"))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (64, 112, 112),
        (128, 56, 56),
        (256, 28, 28),
        (896, 14, 14),
        (1920, 7, 7),
    ]


def test_defaults_are_the_decoder_of_the_second_paper() -> None:
    assert DENSENET_201.encoder is not None
    assert DENSENET_201.encoder.widths == ((6, 12, 48, 32), 32, 64)
    assert DENSENET_201.features == (16, 32, 64, 128, 256)
    assert (DENSENET_201.normalisation, DENSENET_201.dropout_rate) == ("batch", 0.0)
    assert (DENSENET_201.depth, DENSENET_201.divisor) == (5, 32)


def _unit(before: int, width: int) -> int:
    """Two 3x3 convolutions without bias, two normalisations."""
    return 9 * before * width + 9 * width * width + 4 * width


def test_size_is_that_of_densenet_201_and_of_the_nodes() -> None:
    """DenseNet-201 has 20,013,928 parameters with its ImageNet classifier; 16 units and 5 heads more."""
    encoder = 20_013_928 - (1920 * 1000 + 1000)
    left, features = (16, 64, 128, 256, 896, 1920), (16, 32, 64, 128, 256)
    nodes = _unit(3, 16) + 5 * (16 + 1)
    for i, width in enumerate(features):
        for j in range(1, 6 - i):
            below = left[i + 1] if j == 1 else features[i + 1]
            nodes += 4 * below * width + width  # up-convolution
            nodes += _unit(left[i] + j * width, width)
    assert parameter_count(DENSENET_201) == encoder + nodes


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (DENSENET_201, (500, 512)),
        (UNetPlusPlusConfig(in_channels=3, encoder={"variant": 121}, level=3), (224, 224)),
        (UNetPlusPlusConfig(spatial_dims=3, encoder={"variant": 121}, out_channels=3), (8, 512, 512)),
    ],
)
def test_published_encoders_answer_for_every_pixel(config: UNetPlusPlusConfig, size: tuple[int, ...]) -> None:
    network = build(config, device="meta").eval()
    answer = network(torch.empty(1, config.in_channels, *size, device="meta"))
    assert answer.shape == (1, config.out_channels, *size)


def test_weights_of_a_densenet_load_by_name() -> None:
    classifier = settled(DenseNetConfig(**TRUNK, out_channels=4), seed=5)
    network, images = settled(COMPACT), noise(1, 3, 32, 32)
    network.encoder.load_state_dict(classifier.features.state_dict(), strict=True)
    torch.testing.assert_close(network.encoder.levels(images)[-1], classifier.features(images).relu())


@pytest.mark.parametrize("variant", [121, 169, 201])
def test_published_encoders_have_the_names_of_the_classifier(variant: int) -> None:
    classifier = build(DenseNetConfig(variant=variant, out_channels=1), device="meta").features.state_dict()
    encoder = build(UNetPlusPlusConfig(in_channels=3, encoder={"variant": variant}), device="meta").encoder.state_dict()
    assert {k: v.shape for k, v in encoder.items()} == {k: v.shape for k, v in classifier.items()}


def test_training_yields_every_head_and_evaluation_their_mean() -> None:
    network = build(COMPACT)
    images = noise(2, 3, 20, 33)
    heads = network(images)
    assert [head.shape for head in heads] == [(2, 2, 20, 33)] * 4
    network.eval()
    mean = torch.stack([head.softmax(1) for head in network.head_logits(images)]).mean(dim=0)
    torch.testing.assert_close(network(images).softmax(1), mean)


def test_fast_mode_is_the_last_head() -> None:
    images = noise(1, 3, 16, 16)
    fast = settled(UNetPlusPlusConfig(**(COMPACT.model_dump() | {"mode": "fast"})))
    assert torch.equal(fast(images), settled(COMPACT).head_logits(images)[-1])


@pytest.mark.parametrize(
    ("config", "level"),
    [*((COMPACT, level) for level in (1, 2, 3, 4)), *((COMPACT_3D, level) for level in (1, 2, 3))],
    ids=[*(f"2D L{level}" for level in (1, 2, 3, 4)), *(f"3D L{level}" for level in (1, 2, 3))],
)
def test_pruned_computes_what_its_head_did(config: UNetPlusPlusConfig, level: int) -> None:
    network = settled(config)
    smaller = network.pruned(level)
    images = noise(2, config.in_channels, *((21, 40) if config.spatial_dims == 2 else (5, 9, 18)))
    torch.testing.assert_close(smaller(images), network.head_logits(images)[level - 1], rtol=0, atol=1e-6)
    rebuilt = build(smaller.config).eval()
    rebuilt.load_state_dict(smaller.state_dict(), strict=True)
    assert torch.equal(rebuilt(images), smaller(images))


def test_pruned_has_lost_the_stages_of_the_encoder_that_fed_nothing_else() -> None:
    thin = {"block_config": (1, 1, 1, 1), "growth_rate": 2, "init_features": 4}
    network = build(UNetPlusPlusConfig(encoder=thin), device="meta")
    stem, block = ["conv0", "norm0", "relu0"], ["pool0", "denseblock1", "transition1"]
    deeper = [["denseblock2", "transition2"], ["denseblock3", "transition3"], ["denseblock4", "norm5"]]
    for level in range(1, 6):
        names = [name for name, _ in network.pruned(level).encoder.named_children()]
        expected = [
            *stem,
            *(block if level > 1 else []),
            *(name for part in deeper[: max(level - 2, 0)] for name in part),
        ]
        assert names == expected


def test_checkpointing_trains_the_same() -> None:
    lean = UNetPlusPlusConfig(**(COMPACT.model_dump() | {"encoder": TRUNK | {"checkpointing": True}}))
    gradients = []
    for config in (COMPACT, lean):
        network = build(config)
        torch.stack([head.square().mean() for head in network(noise(2, 3, 32, 32))]).sum().backward()
        gradients.append({name: parameter.grad for name, parameter in network.named_parameters()})
    assert network.encoder.denseblock1.checkpointing
    torch.testing.assert_close(*gradients)


def test_checkpointing_does_not_change_what_weights_compute() -> None:
    lean = UNetPlusPlusConfig(**(COMPACT.model_dump() | {"encoder": TRUNK | {"checkpointing": True}}))
    assert lean.identity() == COMPACT.identity()
    assert lean.encoder != COMPACT.encoder
    wider = UNetPlusPlusConfig(**(COMPACT.model_dump() | {"encoder": TRUNK | {"growth_rate": 5}}))
    assert wider.identity() != COMPACT.identity()


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (
            {"encoder": TRUNK},
            r"expected 4 features, one more than .* blocks, got \(16, 32, 64, 128, 256\)",
        ),
        ({"encoder": {}, "level": 6}, "level of at most 5.*, got 6"),
        ({"encoder": {"variant": 122}}, "121, 161, 169, 201 or 264"),
        ({"encoder": {"growth_rate": 8}}, "together"),
        ({"encoder": {"name": "densenet"}}, "name"),
    ],
)
def test_encoders_that_do_not_fit_are_refused(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        UNetPlusPlusConfig.model_validate(given)


def test_every_field_is_described() -> None:
    fields = {**UNetPlusPlusConfig.model_fields, **DenseEncoderConfig.model_fields}
    assert [name for name, field in fields.items() if not field.description] == []
