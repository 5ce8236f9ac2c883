"""Resampling against SimpleITK, SciPy and torch's own interpolation, and against functions known by formula."""

from collections.abc import Iterator

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from datasets.errors import ConfigError
from pipelines.resample import grid_mapping, labels_back, resample, same_field_mapping
from pipelines.slabs import Slab, label_map, softmax

Shape = tuple[int, int, int]
Matrix = NDArray[np.float64]


def _volume(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _map(scale: tuple[float, float, float], shift: tuple[float, float, float]) -> Matrix:
    mapping = np.diag([*scale, 1.0])
    mapping[:3, 3] = shift
    return mapping


def _turned(degrees: float, centre: tuple[float, float, float]) -> Matrix:
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turn[:2, :2] = turn[:2, :2] @ [[1, 0.02], [-0.02, 1]]
    turn[:3, 3] = np.asarray(centre) - turn[:3, :3] @ centre
    return turn


def _itk(volume: Tensor, shape: Shape, mapping: Matrix, fill: float) -> Tensor:
    """SimpleITK's linear resampling; its indices run (w, h, d)."""
    image = sitk.GetImageFromArray(volume[0].double().numpy())
    order = [2, 1, 0]
    matrix = mapping[:3, :3][np.ix_(order, order)]
    transform = sitk.AffineTransform(matrix.flatten().tolist(), mapping[:3, 3][order].tolist())
    reference = sitk.Image(shape[::-1], sitk.sitkFloat64)
    done = sitk.Resample(image, reference, transform, sitk.sitkLinear, fill, sitk.sitkFloat64)
    return torch.from_numpy(sitk.GetArrayFromImage(done))[None].float()


MAPPINGS = {
    "finer": _map((0.5, 0.7, 0.31), (0.2, -0.1, 0.4)),
    "coarser": _map((1.7, 2.3, 1.1), (0.3, 0.9, -0.45)),
    "reaches_out": _map((0.9, 1.1, 1.3), (-3.3, -2.7, -1.2)),
    "flipped": _map((-0.8, 0.9, -1.2), (11.1, 0.3, 17.2)),
    "permuted": np.array([[0, 0, 0.7, 0.4], [1.1, 0, 0, 0.3], [0, -0.9, 0, 14.3], [0, 0, 0, 1]]),
    "oblique": _turned(20, (6, 9, 10)),
}


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("shape", [(13, 17, 19), (9, 24, 11)])
def test_linear_interpolation_is_simpleitks(name: str, shape: Shape) -> None:
    volume = _volume(1, 12, 18, 20)
    ours = resample(volume, shape, MAPPINGS[name], antialias=False, fill=-7.0)
    assert (ours - _itk(volume, shape, MAPPINGS[name], -7.0)).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["finer", "flipped", "permuted", "oblique", "reaches_out"])
def test_linear_interpolation_with_repeated_edges_is_scipys(name: str) -> None:
    volume = _volume(2, 12, 18, 20)
    mapping = MAPPINGS[name]
    ours = resample(volume, (13, 17, 19), mapping, antialias=False)
    for channel in range(2):
        scipys = ndimage.affine_transform(
            volume[channel].double().numpy(), mapping, output_shape=(13, 17, 19), order=1, mode="nearest"
        )
        assert np.abs(ours[channel].numpy() - scipys).max() < 1e-4


@pytest.mark.parametrize("shape", [(6, 9, 24), (12, 6, 12), (6, 18, 6)])
def test_antialiasing_by_whole_numbers_is_torchs_in_the_plane(shape: Shape) -> None:
    volume = _volume(3, shape[0], 18, 24)
    torchs = functional.interpolate(volume.transpose(0, 1), shape[1:], mode="bilinear", antialias=True).transpose(0, 1)
    # Border weights differ: torch leaves the missing voxels out, here the edge is repeated.
    assert (resample(volume, shape) - torchs)[:, :, 1:-1, 1:-1].abs().max() < 1e-4


def test_antialiasing_along_slices_is_the_same_as_in_the_plane() -> None:
    volume = _volume(1, 30, 6, 7)
    turned = resample(volume.transpose(1, 2), (6, 8, 7)).transpose(1, 2)
    assert torch.allclose(resample(volume, (8, 6, 7)), turned, atol=1e-5)


def test_without_antialiasing_the_same_field_is_torchs_trilinear() -> None:
    volume = _volume(2, 9, 14, 15)
    torchs = functional.interpolate(volume[None], (15, 11, 22), mode="trilinear", align_corners=False)[0]
    assert (resample(volume, (15, 11, 22), antialias=False) - torchs).abs().max() < 1e-4


def test_identity_changes_nothing() -> None:
    volume = (_volume(1, 9, 70, 130) * 500).to(torch.int16)
    same = resample(volume, (9, 70, 130))
    assert same.dtype == torch.float32
    assert torch.equal(same, volume.float())
    assert torch.equal(resample(volume, (9, 70, 130), np.eye(4)), volume.float())


@pytest.mark.parametrize("name", ["finer", "coarser", "flipped", "permuted", "oblique"])
@pytest.mark.parametrize("antialias", [True, False])
def test_a_ramp_stays_the_same_ramp(name: str, antialias: bool) -> None:
    """Linear functions pass through linear interpolation and symmetric averaging unchanged, away from the border."""
    source, shape = (12, 18, 20), (11, 13, 12)
    at = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float64) for n in source), indexing="ij"))
    ramp = torch.from_numpy(3 * at[0] - 2 * at[1] + 0.5 * at[2] + 7).float()[None]
    out = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float64) for n in shape), indexing="ij"))
    mapping = MAPPINGS[name]
    place = np.tensordot(mapping[:3, :3], out, 1) + mapping[:3, 3][:, None, None, None]
    truth = 3 * place[0] - 2 * place[1] + 0.5 * place[2] + 7
    border = np.where(np.abs(mapping[:3, :3]).max(axis=1) > 1, 2.4, 0.0) if antialias else np.zeros(3)
    inner = np.ones(shape, bool)
    for axis, extent in enumerate(source):
        inner &= (place[axis] >= border[axis]) & (place[axis] <= extent - 1 - border[axis])
    assert inner.sum() > 10
    assert np.abs(resample(ramp, shape, mapping, antialias=antialias)[0].numpy() - truth)[inner].max() < 1e-4


def test_averaging_removes_what_the_coarse_grid_cannot_show() -> None:
    stripes = torch.tensor([1.0, -1.0]).repeat(32).expand(1, 6, 64, 64)
    assert resample(stripes, (6, 64, 16))[..., 2:-2].abs().max() < 1e-6
    turned = _turned(3, (2.5, 8, 8)).copy()
    turned[:3, :3] = turned[:3, :3] @ np.diag([1, 4, 4])
    inner = resample(stripes, (6, 12, 12), turned)[:, 1:-1, 4:-4, 4:-4]
    assert inner.abs().max() < 0.2
    assert resample(stripes, (6, 12, 12), turned, antialias=False)[:, 1:-1, 4:-4, 4:-4].abs().max() > 0.5


def test_the_mapping_of_two_affines_joins_the_same_places() -> None:
    generator = np.random.default_rng(4)
    source, target = np.eye(4), np.eye(4)
    source[:3] = generator.normal(size=(3, 4))
    target[:3] = generator.normal(size=(3, 4))
    mapping = grid_mapping(source, target)
    depth, height, width = 3, 5, 7
    d, h, w, one = mapping @ [depth, height, width, 1]
    assert one == pytest.approx(1)
    assert source @ [w, h, d, 1] == pytest.approx(target @ [width, height, depth, 1])


def test_the_same_field_keeps_the_outer_edges() -> None:
    mapping = same_field_mapping((10, 20, 5), (5, 40, 5))
    assert mapping @ [-0.5, -0.5, -0.5, 1] == pytest.approx([-0.5, -0.5, -0.5, 1])
    assert mapping @ [4.5, 39.5, 4.5, 1] == pytest.approx([9.5, 19.5, 4.5, 1])


def _stream(logits: Tensor, depth: int) -> Iterator[Slab]:
    start = 0
    for part in logits.split(depth, dim=1):
        yield Slab(start, start + part.shape[1], part)
        start += part.shape[1]


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("depth", [1, 5, 12])
def test_labels_come_back_as_if_logits_had_been_resampled_whole(name: str, depth: int) -> None:
    logits, shape, mapping = _volume(3, 12, 18, 20), (23, 17, 19), MAPPINGS[name]
    slabs = list(labels_back(_stream(logits, depth), (12, 18, 20), shape, mapping, probabilities=softmax))
    channels = torch.stack([_itk(logits[index : index + 1], shape, mapping, 0.0)[0] for index in range(3)])
    inside = _itk(torch.ones(1, 12, 18, 20), shape, mapping, 0.0)[0] > 0
    top = channels.topk(2, dim=0).values
    clear = inside & (top[0] - top[1] > 1e-4)
    labels = label_map(slabs, shape)
    assert torch.equal(labels[clear].long(), channels.argmax(0)[clear])
    assert not labels[~inside].any()
    kept = torch.cat([slab.probabilities for slab in slabs if slab.probabilities is not None], dim=1)
    assert (kept - channels.softmax(0)).abs()[:, inside].max() < 1e-4
    assert not kept[:, ~inside].any()


def test_labels_come_back_while_the_network_is_still_at_work() -> None:
    drawn: list[int] = []

    def stream() -> Iterator[Slab]:
        for slab in _stream(_volume(2, 40, 6, 6), 4):
            drawn.append(slab.stop)
            yield slab

    back = labels_back(stream(), (40, 6, 6), (80, 12, 12))
    first = next(back)
    assert (first.start, first.stop) == (0, 8)
    assert drawn[-1] <= 8
    assert sum(slab.stop - slab.start for slab in back) == 72


def test_a_sphere_comes_back_smooth() -> None:
    """Logits that are the distance to a sphere give its volume within 1 % on a grid three times finer."""
    at = torch.stack(torch.meshgrid(*(torch.arange(24.0) for _ in range(3)), indexing="ij"))
    distance = 8 - (at - 11.5).norm(dim=0)
    logits = torch.stack([torch.zeros_like(distance), distance])
    labels = label_map(labels_back([Slab(0, 24, logits)], (24, 24, 24), (72, 72, 72)), (72, 72, 72))
    assert labels.sum().item() == pytest.approx(4 / 3 * np.pi * 24**3, rel=0.01)


def test_what_cannot_be_resampled_is_refused() -> None:
    volume = torch.zeros(1, 4, 4, 4)
    with pytest.raises(ConfigError, match="four axes"):
        resample(volume[0], (4, 4, 4))
    with pytest.raises(ConfigError, match="voxels along every axis"):
        resample(volume, (4, 0, 4))
    with pytest.raises(ConfigError, match="invertible"):
        resample(volume, (4, 4, 4), np.diag([1.0, 0.0, 1.0, 1.0]))
    with pytest.raises(ConfigError, match="every slice of the source grid once"):
        list(labels_back([Slab(0, 3, volume[:, :3])], (4, 4, 4), (4, 4, 4)))
