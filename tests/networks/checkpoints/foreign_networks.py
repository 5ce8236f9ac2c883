"""Networks of other projects, written down from their public layouts and sharing nothing with ours, and their files."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = {
    121: ((6, 12, 24, 16), 32, 64),
    161: ((6, 12, 36, 24), 48, 96),
    169: ((6, 12, 32, 32), 32, 64),
    201: ((6, 12, 48, 32), 32, 64),
}
SMALL = ((2, 3, 2, 2), 4, 8)


class TorchvisionDenseNet(nn.Module):
    """pytorch/vision, torchvision/models/densenet.py: names of its modules, and its forward as plain functions."""

    def __init__(self, widths: tuple[tuple[int, ...], int, int], classes: int = 1000, channels: int = 3) -> None:
        super().__init__()
        self.blocks, growth, width = widths
        self.features = nn.Module()
        self.features.conv0 = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        self.features.norm0 = nn.BatchNorm2d(width)
        for number, layers in enumerate(self.blocks, start=1):
            block = nn.Module()
            for index in range(1, layers + 1):
                layer = nn.Module()
                layer.norm1 = nn.BatchNorm2d(width)
                layer.conv1 = nn.Conv2d(width, 4 * growth, 1, bias=False)
                layer.norm2 = nn.BatchNorm2d(4 * growth)
                layer.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
                block.add_module(f"denselayer{index}", layer)
                width += growth
            self.features.add_module(f"denseblock{number}", block)
            if number < len(self.blocks):
                transition = nn.Module()
                transition.norm = nn.BatchNorm2d(width)
                transition.conv = nn.Conv2d(width, width // 2, 1, bias=False)
                width //= 2
                self.features.add_module(f"transition{number}", transition)
        self.features.norm5 = nn.BatchNorm2d(width)
        self.classifier: nn.Module = nn.Linear(width, classes)

    def stem(self, x: Tensor) -> Tensor:
        return functional.relu(self.features.norm0(self.features.conv0(x)))

    def maps(self, x: Tensor) -> Tensor:
        """After the last normalisation, before the last ReLU."""
        x = functional.max_pool2d(self.stem(x), 3, stride=2, padding=1)
        for number in range(1, len(self.blocks) + 1):
            seen = [x]
            for layer in self.features.get_submodule(f"denseblock{number}").children():
                inner = layer.conv1(functional.relu(layer.norm1(torch.cat(seen, 1))))
                seen.append(layer.conv2(functional.relu(layer.norm2(inner))))
            x = torch.cat(seen, 1)
            if number < len(self.blocks):
                transition = self.features.get_submodule(f"transition{number}")
                x = functional.avg_pool2d(transition.conv(functional.relu(transition.norm(x))), 2)
        return self.features.norm5(x)

    def forward(self, x: Tensor) -> Tensor:
        pooled = functional.adaptive_avg_pool2d(functional.relu(self.maps(x)), 1).flatten(1)
        return self.classifier(pooled)


class CheXNet(nn.Module):
    """arnoweng/CheXNet, model.py, and zoogzog/chexnet, DensenetModels.py: the sigmoid is part of the network."""

    def __init__(self, variant: int = 121, classes: int = 14) -> None:
        super().__init__()
        inner = TorchvisionDenseNet(WIDTHS[variant])
        inner.classifier = nn.Sequential(nn.Linear(inner.classifier.in_features, classes), nn.Sigmoid())
        self.add_module(f"densenet{variant}", inner)

    def forward(self, x: Tensor) -> Tensor:
        return next(self.children())(x)


class KimiaNet(nn.Module):
    """KimiaLabMayo/KimiaNet, KimiaNet_PyTorch_Feature_Extraction.py: features of 1024 and their 30 logits.

    `model` is a Sequential of the features and a mean over the image; no ReLU stands between the two.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inner = [TorchvisionDenseNet(WIDTHS[121])]  # in a list, so that its classifier is not part of this
        self.model = nn.Sequential(self.inner[0].features, nn.AdaptiveAvgPool2d(1))
        self.fc_4 = nn.Linear(1024, 30)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.flatten(self.model[1](self.inner[0].maps(x)), 1)
        return features, self.fc_4(features)


class TorchXRayVision(TorchvisionDenseNet):
    """mlmed/torchxrayvision, models.py: one channel, 18 outputs, a buffer of operating points."""

    def __init__(self, thresholds: Tensor | None) -> None:
        super().__init__(WIDTHS[121], classes=18, channels=1)
        self.register_buffer("op_threshs", thresholds)


def lived_in(network: nn.Module, seed: int = 0) -> nn.Module:
    """In evaluation mode, with statistics, affine maps and counters like a trained one's."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("num_batches_tracked"):
                tensor.fill_(12345)
            elif tensor.ndim == 1 and not name.endswith("op_threshs"):
                tensor.normal_(0.0, 0.3, generator=generator)
            elif tensor.ndim > 1:
                tensor.normal_(0.0, (2.0 / tensor[0].numel()) ** 0.5, generator=generator)
    return network.eval()


def old_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As older torchvision had them: dots within dense layers, no counters of batches."""
    return {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): tensor
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }


def in_parallel(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As torch.nn.DataParallel has them."""
    return {f"module.{name}": tensor for name, tensor in state.items()}


def arnoweng_file(network: nn.Module, path: Path) -> Path:
    """A checkpoint of CheXNet: old names, wrapped, in torch's format before 1.6."""
    document = {"epoch": 7, "arch": "densenet121", "state_dict": in_parallel(old_names(network.state_dict()))}
    torch.save(document | {"best_loss": 0.5}, path, _use_new_zipfile_serialization=False)
    return path


def torch_file(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


def pixels(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
