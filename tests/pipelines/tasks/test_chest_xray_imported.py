"""Published weights through the task: what comes out is what their own network says of pixels made by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from torch.nn.functional import interpolate

from datasets.io.discover import open_inputs
from datasets.phantoms import film_phantom
from pipelines.results import Finding, Result
from pipelines.run import Pipeline
from pipelines.task import load_task
from pipelines.weights_import import Destination, import_weights
from tests.networks.checkpoints.foreign_networks import CheXNet, TorchXRayVision, arnoweng_file, lived_in, torch_file

# Written down once more, in the order of `xrv.datasets.default_pathologies` and the project's spelling.
XRAYVISION = (
    "atelectasis consolidation infiltration pneumothorax edema emphysema fibrosis effusion pneumonia "
    "pleural_thickening cardiomegaly nodule mass hernia lung_lesion fracture lung_opacity enlarged_cardiomediastinum"
)
UNTRAINED = {"lung_lesion", "lung_opacity", "enlarged_cardiomediastinum"}
# As a phantom is drawn, but oblong: what does not fit the square has to go.
FILM: NDArray[np.uint8] = film_phantom(11).image(300).array[0, :280, :, 0].T


def _scored(task: str, source: Path, network: str, folder: Path) -> Result:
    weights = folder / "weights.safetensors"
    import_weights(source, network, destination=Destination(weights))
    pipeline = Pipeline.load(load_task(task, [f"weights={weights}", "guard=false"]), "cpu", "fp32")
    Picture.fromarray(FILM).save(folder / "film.png")
    with open_inputs([folder / "film.png"]) as inventory:
        return pipeline.run(inventory.studies[0])


def _square(side: int = 224) -> torch.Tensor:
    """(1, 1, side, side) in [0, 1]: the middle of the film."""
    rows, columns = FILM.shape
    edge = min(rows, columns)
    top, left = (rows - edge) // 2, (columns - edge) // 2
    middle = torch.from_numpy(FILM[top : top + edge, left : left + edge].astype(np.float32) / 255.0)[None, None]
    return interpolate(middle, (side, side), mode="bilinear", antialias=True)


def _raw(findings: tuple[Finding, ...]) -> dict[str, float]:
    return {finding.label: finding.raw_probability or 0.0 for finding in findings}


def test_torchxrayvision(tmp_path: Path) -> None:
    labels = XRAYVISION.split()
    points = torch.linspace(0.05, 0.9, 18)
    points[[labels.index(label) for label in UNTRAINED]] = math.nan
    theirs = lived_in(TorchXRayVision(points))
    source = torch_file(theirs.state_dict(), tmp_path / "theirs.pt")
    result = _scored("chest_xray_torchxrayvision", source, "torchxrayvision", tmp_path)
    with torch.inference_mode():
        said = torch.sigmoid(theirs(2048.0 * _square() - 1024.0))[0]
    expected = {label: float(said[at]) for at, label in enumerate(labels) if label not in UNTRAINED}
    assert _raw(result.findings) == pytest.approx(expected, abs=1e-4)
    assert max(expected.values()) - min(expected.values()) > 0.1
    for finding in result.findings:
        # Raw, not rescaled so that the operating point becomes 0.5 (`op_norm`): the point is the threshold.
        assert finding.threshold == pytest.approx(points[labels.index(finding.label)].item(), abs=1e-6)
        assert finding.positive == ((finding.raw_probability or 0.0) >= finding.threshold)
        assert not finding.calibrated
    assert {finding.positive for finding in result.findings} == {True, False}


def test_chexnet(tmp_path: Path) -> None:
    theirs = lived_in(CheXNet())
    result = _scored("chest_xray_densenet121", arnoweng_file(theirs, tmp_path / "theirs.pth.tar"), "chexnet", tmp_path)
    mean, std = (
        torch.tensor(numbers).reshape(1, 3, 1, 1) for numbers in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    with torch.inference_mode():
        # Their module ends in a sigmoid.
        said = theirs((_square().repeat(1, 3, 1, 1) - mean) / std)[0]
    assert list(_raw(result.findings).values()) == pytest.approx(said.tolist(), abs=1e-4)
    assert [finding.label for finding in result.findings][:3] == ["atelectasis", "cardiomegaly", "effusion"]
    assert {finding.threshold for finding in result.findings} == {0.5}
