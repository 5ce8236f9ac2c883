"""The coarse look: its box by formula, what it cuts out, and what the weights that ship hold of livers nobody saw."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from datasets.box import bounding_box
from datasets.errors import ConfigError, WeightsError
from datasets.image import Image
from networks.build import build
from pipelines.examination import Compute
from pipelines.loaded_network import LoadedNetwork
from pipelines.localise import Localiser
from pipelines.model_store import Card, save_weights, untrained
from pipelines.run import Pipeline
from pipelines.score import run_key
from pipelines.task import Task, load_task
from tests.pipelines.liver_scene import (
    HEALTHY,
    LIVER_HU,
    NO_LIVER,
    OWN_GRID,
    PATIENT,
    TUMOR_HU,
    Constant,
    Ellipsoid,
    Oracle,
    Reading,
    Said,
    field_of_view,
    scan,
    study,
    truth,
)

NETWORK = "init_features: 4, growth_rate: 2, block_config: [1, 1], feature_channels: 4, in_channels: 1, out_channels: 2"
COARSE = (
    f"localise={{network: {{name: dense_unet, {NETWORK}}}, weights: no_such_weights, "
    "spacing_mm: [4, 4, 4], margin_mm: [9, 9, 9]}"
)
IMAGE = scan(field_of_view((2.0, 2.0, 3.0)))


class Bright(nn.Module):
    """Marks what is brighter than a value in HU."""

    def __init__(self, above_hu: float) -> None:
        super().__init__()
        self.above_hu = above_hu

    def forward(self, x: Tensor) -> Tensor:
        organ = torch.where(x + 48.0 > self.above_hu, 9.0, -9.0)
        return torch.cat((-organ, organ), dim=1)


def _localiser(task: Task, network: nn.Module) -> Localiser:
    return Localiser(task.localisation(), LoadedNetwork(network, untrained(), ()), Compute("cpu"))


def _pipeline(*settings: str, network: nn.Module | None = None, coarse: nn.Module | None = None) -> Pipeline:
    task = load_task("liver_ct", [COARSE, *settings])
    localiser = _localiser(task, coarse or Bright(50.0))
    return Pipeline(task, network or Oracle(), untrained(), Compute("cpu"), (), localiser)


def test_an_organ_cut_in_two_by_a_bad_slice_is_held_whole() -> None:
    image = scan(field_of_view((4.0, 4.0, 4.0)), HEALTHY)
    hu = np.array(image.array)
    liver = truth(image.grid, HEALTHY) > 0
    bad = bounding_box(liver)[2].start + 6
    hu[0, :, :, bad] = -1000
    task = load_task("liver_ct", [COARSE, "localise.margin_mm=[0, 0, 0]"])
    box = _localiser(task, Bright(50.0)).box_of(image.like(hu), image.grid)
    assert box == bounding_box(liver)


@pytest.mark.parametrize(("threshold", "found"), [(0.2, True), (0.24, True), (0.26, False), (0.5, False)])
def test_the_threshold_is_of_everything_but_the_background(threshold: float, found: bool) -> None:
    task = load_task("liver_ct", [COARSE.replace("out_channels: 2", "out_channels: 3")])
    task = task.model_copy(update={"localise": task.localise.model_copy(update={"threshold": threshold})})
    box = _localiser(task, Constant(0.75, 0.15, 0.1)).box_of(IMAGE, IMAGE.grid)
    assert (box is not None) == found


@pytest.mark.parametrize("turn_deg", [(0, 0, 0), (9, -14, 20)])
def test_the_box_of_a_scan_is_that_of_its_bright_voxels(turn_deg: tuple[int, int, int]) -> None:
    # The scan has the coarse grid's own spacing, so preparing it changes no voxel.
    image = scan(field_of_view((4.0, 4.0, 4.0), turn_deg=turn_deg), HEALTHY)
    task = load_task("liver_ct", [COARSE, "localise.margin_mm=[3, 4, 6]"])
    box = _localiser(task, Bright(50.0)).box_of(image, image.grid)
    tight = bounding_box(truth(image.grid, HEALTHY) > 0)
    # 3, 4 and 6 mm reach into one, one and two voxels more.
    assert box == tuple(slice(part.start - more, part.stop + more) for part, more in zip(tight, (1, 1, 2), strict=True))


def test_slices_reach_a_2d_network_with_their_neighbours_and_a_3d_network_whole() -> None:
    shapes = []

    class Watched(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            shapes.append(tuple(x.shape))
            return torch.zeros(x.shape[0], 2, *x.shape[2:])

    image = scan(field_of_view((4.0, 4.0, 4.0)))  # 33 x 28 x 21
    flat = COARSE.replace("in_channels: 1", "in_channels: 3")
    deep = "localise={network: {name: unet_plus_plus, spatial_dims: 3, out_channels: 2}, weights: any}"
    for settings in (flat, deep):
        task = load_task("liver_ct", [settings])
        # Both classes are as likely: what reaches the threshold of 0.3 is everything.
        box = _localiser(task, Watched()).box_of(image, image.grid)
        assert box == (slice(0, 33), slice(0, 28), slice(0, 21))
    assert set(shapes[:-1]) == {(8, 3, 28, 33), (5, 3, 28, 33)}
    assert shapes[-1] == (1, 1, 21, 28, 33)


# What becomes of the box.


@pytest.mark.parametrize("spacing", [OWN_GRID, "spacing_mm=[1.5, 1.5, 4]", "spacing_mm=[3, 3, 2]"])
@pytest.mark.parametrize("turn_deg", [(0, 0, 0), (5, -8, 12)])
def test_labels_of_a_box_are_those_of_the_whole(spacing: str, turn_deg: tuple[int, int, int]) -> None:
    image = scan(field_of_view((2.0, 2.0, 3.0), turn_deg=turn_deg))
    localised = _pipeline(spacing)
    whole = replace(localised, localiser=None).run(study(Reading(image)))
    part = localised.run(study(Reading(image)))
    assert (whole.labels.array > 0).any()
    np.testing.assert_array_equal(part.labels.array, whole.labels.array)
    assert part.findings == whole.findings
    assert set(part.seconds) == set(whole.seconds)


def test_nothing_is_probable_where_nothing_was_searched() -> None:
    localised = _pipeline(OWN_GRID, "output.probability=true", network=Constant(0.6, 0.28, 0.12))
    box = localised.localiser.box_of(IMAGE, IMAGE.grid)
    found = localised.run(study(Reading(IMAGE))).probabilities.array
    whole = replace(localised, localiser=None).run(study(Reading(IMAGE))).probabilities.array
    inside = np.zeros(IMAGE.shape, bool)
    inside[box] = True
    np.testing.assert_array_equal(found[:, inside], whole[:, inside])
    assert not found[:, ~inside].any()
    assert whole[:, ~inside].any()


@pytest.mark.parametrize("orientation", ["RAS", "SPL"])
def test_the_box_follows_the_orientation_of_the_scan(orientation: str) -> None:
    letters = {"RAS": ((0, 1, 2), (-1, -1, 1)), "SPL": ((2, 1, 0), (1, 1, 1))}[orientation]
    axes, flips = letters
    turned = IMAGE.array[0].transpose(axes)[:: flips[0], :: flips[1], :: flips[2]]
    affine = np.eye(4)
    affine[:3, :3] = IMAGE.affine[:3, axes] * flips
    first = [0 if flip > 0 else size - 1 for flip, size in zip(flips, turned.shape, strict=True)]
    index = np.zeros(3)
    index[list(axes)] = first
    affine[:3, 3] = IMAGE.grid.points_mm(index)
    image = Image(turned[None], IMAGE.intensity, affine)
    assert image.grid.orientation == orientation
    result = _pipeline(OWN_GRID).run(study(Reading(image)))
    expected = _pipeline(OWN_GRID).run(study(Reading(IMAGE))).labels.array[0].transpose(axes)
    np.testing.assert_array_equal(result.labels.array[0], expected[:: flips[0], :: flips[1], :: flips[2]])
    assert "localised" in Said(result).flags


def test_the_flag_says_which_box_was_searched() -> None:
    ball = Ellipsoid((20, 0, 4), (16, 16, 16), LIVER_HU)
    image = scan(field_of_view((4.0, 4.0, 4.0), (160, 160, 160)), (*NO_LIVER, ball))
    result = _pipeline(OWN_GRID, "localise.margin_mm=[8, 8, 8]").run(study(Reading(image)))
    (flag,) = [flag for flag in result.quality if flag.code == "localised"]
    # Voxel centres lie at 2, 6, 10, … mm: eight of them within 16 mm of the centre, two more on either side.
    assert flag.severity == "info"
    assert flag.message == "a box of 48 x 48 x 48 mm around (20, 0, 4) mm RAS was searched, 3% of the scan"


def test_where_nothing_is_seen_everything_is_searched() -> None:
    localised = _pipeline(OWN_GRID, coarse=Bright(5000.0))
    part, whole = (p.run(study(Reading(IMAGE))) for p in (localised, replace(localised, localiser=None)))
    np.testing.assert_array_equal(part.labels.array, whole.labels.array)
    (flag,) = [flag for flag in part.quality if flag.code == "not_localised"]
    assert flag.severity == "warning"


def test_an_organ_that_reaches_the_edge_of_the_box_is_told() -> None:
    # The coarse network knows the tumours alone and leaves no room around them.
    image = scan(field_of_view((2.0, 2.0, 3.0)), PATIENT[:3])
    blind = _pipeline(OWN_GRID, "localise.margin_mm=[0, 0, 0]", coarse=Bright((LIVER_HU + TUMOR_HU) / 2))
    assert {"localised", "box_reached"} <= set(Said(blind.run(study(Reading(image)))).flags)
    assert "box_reached" not in Said(_pipeline(OWN_GRID).run(study(Reading(image)))).flags


def test_an_edge_of_the_scan_is_no_edge_of_the_box() -> None:
    slab = scan(field_of_view((2.0, 2.0, 3.0), (132, 112, 15)))
    flags = Said(_pipeline(OWN_GRID).run(study(Reading(slab)))).flags
    assert "touches_border" in flags
    assert "box_reached" not in flags


# Settings and weights.


def _save(path: Path, seed: int) -> str:
    settings = load_task("liver_ct", [COARSE]).localisation().settings
    card = Card(name="coarse", task="liver_ct", trained_on="phantoms", limits="a test", phantom=True)
    save_weights(build(settings.network, seed=seed), settings.network, card, path)
    return str(path)


def test_no_coarse_look_unless_asked_for() -> None:
    assert load_task("liver_ct", ["localise=null"]).localisation() is None
    assert Pipeline.load(load_task("liver_ct", ["localise=null"]), "cpu").localiser is None


def test_other_coarse_weights_are_another_run(tmp_path: Path) -> None:
    path = tmp_path / "coarse.safetensors"
    keys, hashes = set(), set()
    for seed in (0, 1):
        task = load_task("liver_ct", [COARSE, f"localise.weights={_save(path, seed)}"])
        loaded = Pipeline.load(task, "cpu")
        assert not loaded.localiser.loaded.network.training
        assert [flag.code for flag in loaded.flags] == ["phantom_weights"]
        keys.add(run_key(loaded))
        hashes.add(loaded.model.localiser_sha256)
        assert loaded.model.model_dump()["localiser_sha256"] == loaded.model.localiser_sha256
    # The same settings, the same name, another file.
    assert len(keys) == len(hashes) == 2
    plain = Pipeline.load(load_task("liver_ct", ["localise=null"]), "cpu")
    assert run_key(plain) not in keys
    assert "localiser_sha256" not in plain.model.model_dump()


def test_coarse_weights_are_checked_like_others(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no_such_weights"):
        Pipeline.load(load_task("liver_ct", [COARSE]), "cpu")
    path = _save(tmp_path / "coarse.safetensors", 0)
    with pytest.raises(WeightsError, match="init_features"):
        Pipeline.load(
            load_task("liver_ct", [COARSE, f"localise.weights={path}", "localise.network.init_features=8"]), "cpu"
        )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("localise.network={name: densenet, out_channels: 2}", "densenet"),
        ("localise.network.out_channels=1", "1 classes"),
        ("localise.network={name: unet_plus_plus, in_channels: 2, out_channels: 2}", "odd"),
        ("localise.network={name: unet_plus_plus, spatial_dims: 3, in_channels: 3, out_channels: 2}", "1 in 3D"),
        ("localise.threshold=1.0", "threshold"),
        ("localise.spacing_mm=[4, 4, 0]", "spacing_mm"),
        ("localise.margin_mm=[-1, 0, 0]", "margin_mm"),
        ("localise.weights=null", "weights"),
    ],
)
def test_settings_that_cannot_be_meant(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_task("liver_ct", [COARSE, setting])
