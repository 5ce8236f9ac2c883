"""Methods by their formulas: what adds up, what masks weigh, what points on a line give, and what is asked about."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from pipelines.explain.baselines import Baseline, baseline_of, blurred
from pipelines.explain.completeness import completeness_error
from pipelines.explain.dix import Dix
from pipelines.explain.evidence import gather
from pipelines.explain.integrated_gradients import IntegratedGradients
from pipelines.explain.names import METHODS
from pipelines.explain.occlusion import Occlusion
from pipelines.explain.registry import method
from pipelines.explain.rise import Rise
from pipelines.explain.smooth_grad import SmoothGrad
from pipelines.explain.targets import ClassLogit, PixelLogits, Point, PredictedClass
from tests.pipelines.explain import scenes
from tests.pipelines.explain.conftest import CHEAP, network_and_inputs

ROWS = torch.arange(2)


@pytest.mark.parametrize("baseline", [0.0, "minimum", "blurred"])
def test_integrated_gradients_add_up_to_a_hundredth(classifier: nn.Module, baseline: Baseline) -> None:
    seen = scenes.pictures(6, seed=71).pixels
    targets = [ClassLogit(0), ClassLogit(1)]
    few = IntegratedGradients(steps=8, baseline=baseline).explain(classifier, seen, targets)
    start = baseline_of(seen, baseline).expand_as(seen)
    with torch.no_grad():
        rise = classifier(seen) - classifier(start)
    moved = rise.abs() > 0.1  # Of next to nothing a hundredth would be as many steps as one likes.
    assert float(moved.float().mean()) > 0.8
    assert float(completeness_error(few, rise)[moved].max()) <= 0.01
    # Not by chance: without doubling, two points are not enough.
    rough = IntegratedGradients(steps=2, tolerance=None, baseline=baseline).explain(classifier, seen, targets)
    assert float(completeness_error(rough, rise).max()) > 0.01


def test_integrated_gradients_of_a_polynomial_are_exact() -> None:
    """Of y = sum w x^3 from 0 they are w x^3: three points of Gauss and Legendre are more than enough."""

    class Cubic(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x**3 * torch.tensor([2.0, -1.0, 0.5])[None, :, None, None]).flatten(1).sum(1, keepdim=True)

    inputs = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    found = IntegratedGradients(steps=3, tolerance=None).explain(Cubic().eval(), inputs, [ClassLogit(0)])
    expected = (inputs**3 * torch.tensor([2.0, -1.0, 0.5])[None, :, None, None]).sum(1)
    torch.testing.assert_close(found[:, 0], expected)


def test_completeness_error_is_a_share() -> None:
    maps = torch.full((1, 3, 2, 2), 0.25)
    torch.testing.assert_close(
        completeness_error(maps, torch.tensor([[1.0, 2.0, -1.0]])), torch.tensor([[0.0, 0.5, 2.0]])
    )


def test_rise_is_the_mean_of_masks_by_what_they_leave() -> None:
    network, inputs = network_and_inputs("densenet", images=2)
    rise = Rise(masks=7, cells=3, shown=0.4, baseline=-0.3, seed=2)
    found = rise.explain(network, inputs, [ClassLogit(1), ClassLogit(3, exclusive=True)])
    expected = torch.zeros_like(found).double()
    for number in range(7):
        mask = rise.drawn(number, inputs.shape[2:]).double()
        with torch.no_grad():
            logits = network(inputs * mask - 0.3 * (1 - mask))
        left = torch.stack([torch.sigmoid(logits[:, 1]), torch.softmax(logits, 1)[:, 3]], dim=1)
        expected += left[:, :, None, None] * mask / (7 * 0.4)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(45, 64), (7, 20, 9)])
def test_masks_of_rise_show_the_share_they_should(size: tuple[int, ...]) -> None:
    masks = torch.stack([Rise(shown=0.3).drawn(number, size) for number in range(400)])
    assert masks.shape[1:] == size
    assert 0.0 <= float(masks.min()) <= float(masks.max()) <= 1.0
    # Four standard errors of 400 draws, everywhere: no place is shown more often than others.
    assert float((masks.mean(0) - 0.3).abs().max()) < 4 * (0.3 * 0.7 / 400) ** 0.5
    assert not torch.equal(masks[0], masks[1])


def test_windows_hide_every_pixel() -> None:
    for size, window, stride in (((20, 33), 8, 8), ((20, 33), 7, 3), ((5, 9, 11), 4, 2), ((3, 3), 8, None)):
        corners, edges = Occlusion(window=window, stride=stride).windows(size)
        hidden = torch.zeros(size)
        for corner in corners:
            hidden[tuple(slice(at, at + edge) for at, edge in zip(corner, edges, strict=True))] += 1
        assert float(hidden.min()) >= 1.0
        assert len(set(corners)) == len(corners)


def test_occlusion_of_a_sum_is_what_is_hidden() -> None:
    """Of y = sum x a window takes away its sum less what it becomes; windows here do not overlap."""

    class Sum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).sum(1, keepdim=True)

    inputs = torch.randn(2, 1, 6, 8, generator=torch.Generator().manual_seed(3))
    found = Occlusion(window=2, stride=2, baseline=0.5).explain(Sum().eval(), inputs, [ClassLogit(0)])
    windows = nn.functional.avg_pool2d(inputs - 0.5, 2) * 4
    torch.testing.assert_close(found, windows.repeat_interleave(2, 2).repeat_interleave(2, 3))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_dix_of_a_densenet_is_what_its_points_give(layers: int) -> None:
    """Layer by layer and point by point, with a network that is cut in two by hand."""
    network, inputs = network_and_inputs("densenet", images=1)
    trunk = list(network.features.children())
    names = [name for name, _ in network.features.named_children()]

    def behind(maps: Tensor, start: int) -> Tensor:
        for stage in trunk[start:]:
            maps = stage(maps)
        answer: Tensor = network.classifier(maps.relu().flatten(2).mean(2))
        return answer

    places = [len(trunk), names.index("denseblock2") + 1, names.index("transition1") + 1]
    found = []
    for index, place in enumerate(places[:layers]):
        maps = inputs
        for stage in trunk[:place]:
            maps = stage(maps)
        maps = maps.detach().relu() if index == 0 else maps.detach()
        start = maps.amin(1, keepdim=True)
        total = torch.zeros_like(maps[:, 0])
        for step in range(5):
            point = (start + step / 4 * (maps - start)).requires_grad_()
            logits = network.classifier(point.flatten(2).mean(2)) if index == 0 else behind(point, place)
            (slope,) = torch.autograd.grad(logits[0, 2], point)
            if index == 0:
                total += (slope.relu() * point.detach().relu()).sum(1)
            else:
                total += ((slope * point.detach().relu()).relu() * ((maps - start) / 4).abs()).sum(1)
        found.append(total / total.max())
    together = {
        1: lambda: found[0],
        2: lambda: found[1] * found[0] + found[0],
        3: lambda: (found[1] * found[2] * found[0] + found[0]) * found[0],
    }[layers]()
    evidence = gather(network, inputs, [ClassLogit(2)], torch.arange(1))
    expected = evidence.on_inputs(together[:, None], inputs.shape[2:])
    ours = Dix(layers=layers, steps=4).explain(network, inputs, [ClassLogit(2)])
    torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-6)


def test_noise_is_the_images_own_range_times_what_was_drawn() -> None:
    noise = torch.stack([SmoothGrad(seed=1).drawn(number, (1, 40, 50)) for number in range(20)])
    assert abs(float(noise.mean())) < 0.02
    assert float(noise.std()) == pytest.approx(1.0, abs=0.02)
    assert not torch.equal(noise[0], SmoothGrad(seed=2).drawn(0, (1, 40, 50)))


def test_baselines() -> None:
    inputs = torch.randn(2, 3, 20, 30, generator=torch.Generator().manual_seed(5))
    assert torch.equal(baseline_of(inputs, 0.5).expand_as(inputs), torch.full_like(inputs, 0.5))
    assert torch.equal(baseline_of(inputs, "minimum")[..., 0, 0], inputs.amin((2, 3)))
    expected = gaussian_filter(inputs.numpy(), sigma=(0, 0, 3, 3), mode="nearest", radius=(0, 0, 6, 6))
    torch.testing.assert_close(blurred(inputs, 3.0), torch.from_numpy(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_of_eight_is_eight_batches_of_one(name: str, classifier: nn.Module) -> None:
    seen = scenes.pictures(8, seed=72).pixels
    explain = method(name, **CHEAP.get(name, {}))
    targets = [ClassLogit(0), ClassLogit(1)]
    together = explain.explain(classifier, seen, targets)
    apart = torch.cat([explain.explain(classifier, seen[n : n + 1], targets) for n in range(8)])
    spread = together.flatten(2).amax(2) - together.flatten(2).amin(2)
    wrong = (together - apart).abs().flatten(2).amax(2)
    assert bool((wrong <= 1e-5 * spread.clamp(min=float(spread.max()) * 0.1)).all())


class TestTargets:
    outputs = torch.tensor([[[[1.0, -2.0], [3.0, 0.5]], [[2.0, 1.0], [-1.0, 0.25]]]])  # (1, 2, 2, 2)

    def test_of_a_classifier(self) -> None:
        logits = torch.tensor([[1.0, -1.0, 0.5], [0.0, 2.0, 4.0]])
        target = ClassLogit(1)
        assert target.scores(logits, ROWS).tolist() == [-1.0, 2.0]
        torch.testing.assert_close(target.probabilities(logits, ROWS), torch.sigmoid(logits[:, 1]))
        among = ClassLogit(1, exclusive=True)
        torch.testing.assert_close(among.probabilities(logits, ROWS), torch.softmax(logits, 1)[:, 1])

    def test_of_what_is_predicted(self) -> None:
        bound = PredictedClass(1).bound(self.outputs)
        assert bound.pixels.tolist() == [[[True, True], [False, False]]]
        assert bound.scores(self.outputs, torch.tensor([0])).tolist() == [3.0]
        findings = PredictedClass(0, exclusive=False).bound(self.outputs)
        assert findings.pixels.tolist() == [[[True, False], [True, True]]]

    def test_pixels_stay_those_of_the_unchanged_image(self) -> None:
        bound = PredictedClass(1).bound(self.outputs)
        assert bound.scores(-self.outputs, torch.tensor([0])).tolist() == [-3.0]
        assert bound.bound(-self.outputs) is bound

    def test_of_a_point_and_of_a_mask(self) -> None:
        row = torch.tensor([0])
        assert Point(0, (1, 0)).bound(self.outputs).scores(self.outputs, row).tolist() == [3.0]
        mask = torch.tensor([[[False, True], [True, False]]])
        target = PixelLogits(1, mask)
        assert target.scores(self.outputs, row).tolist() == [0.0]
        expected = torch.softmax(self.outputs, 1)[0, 1][mask[0]].mean()
        torch.testing.assert_close(target.probabilities(self.outputs, row)[0], expected)

    def test_masks_follow_their_images(self) -> None:
        masks = torch.tensor([[[True, False]], [[False, True]]])
        outputs = torch.tensor([[[[1.0, 2.0]]], [[[3.0, 4.0]]], [[[5.0, 6.0]]]])
        copies = torch.tensor([0, 1, 0])
        assert PixelLogits(0, masks).scores(outputs, copies).tolist() == [1.0, 4.0, 5.0]

    def test_what_does_not_fit_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"a classifier, \(N, classes\) says, got \(1, 2, 2, 2\)"):
            ClassLogit(0).bound(self.outputs)
        with pytest.raises(ValueError, match="a class from 0 to 1, got 2"):
            PredictedClass(2).bound(self.outputs)
        with pytest.raises(ValueError, match=r"inside \(2, 2\), got \(2, 0\)"):
            Point(0, (2, 0)).bound(self.outputs)
        with pytest.raises(ValueError, match=r"pixels on the grid \(2, 2\), got \(1, 3, 3\)"):
            PixelLogits(0, torch.zeros(1, 3, 3, dtype=torch.bool)).bound(self.outputs)
        with pytest.raises(ValueError, match="call bound first"):
            Point(0, (0, 0)).scores(self.outputs, ROWS)


MEMORY = """
import resource, torch
from networks.build import build
from networks.configs import DenseNetConfig
from pipelines.explain.integrated_gradients import IntegratedGradients
from pipelines.explain.targets import ClassLogit
network = build(DenseNetConfig(variant=121, spatial_dims=3, in_channels=1, out_channels=2)).eval()
maps = IntegratedGradients(steps=3, tolerance=None).explain(network, torch.randn(1, 1, 128, 128, 128), [ClassLogit(0)])
assert maps.shape == (1, 1, 128, 128, 128)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is told by POSIX systems alone")
def test_integrated_gradients_of_a_volume_fit_into_four_gigabytes() -> None:
    """Steps come one after the other, so memory does not depend on how many there are."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 4.0
    assert np.isfinite(float(done.stdout))
