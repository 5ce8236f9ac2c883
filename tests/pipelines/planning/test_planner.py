"""Plans: nnU-Net's published ones by its own estimate of memory, and ours, which load and build."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from datasets.errors import ConfigError
from networks.build import build
from pipelines.fingerprint import CaseFingerprint, Fingerprint, Intensities
from pipelines.planning import make_plan, plan, plan_text, write_plan
from pipelines.planning.grids import is_anisotropic, median_shape, target_spacing
from pipelines.planning.memory import GIB, training_bytes
from pipelines.planning.patch import choose_patches
from pipelines.task import load_task
from tests.pipelines.example_sets import dataset, volume
from tests.pipelines.planning.nnunet_reference import published_room

HU = Intensities(
    mean=99.4, std=39.4, median=101.0, minimum=-983.0, maximum=5420.0, percentile_0_5=-15.0, percentile_99_5=197.0
)
VOLUMES = ["network={name: unet, spatial_dims: 3, in_channels: 1, out_channels: 3}", "windows.size=[64, 64, 64]"]


def _fingerprint(shape: tuple[int, int, int], spacing: tuple[float, float, float] | None, cases: int) -> Fingerprint:
    case = CaseFingerprint(shape=shape, spacing_mm=spacing, kept=1.0)
    return Fingerprint(
        dataset="one", layout="memory", data_sha256="0" * 64, patients=cases, cases=(case,) * cases,
        intensities=(HU,), labels={"liver": 0.1}, cases_with={"liver": cases},
    )  # fmt: skip


LIVER = _fingerprint((482, 512, 512), (1.0, 0.7676, 0.7676), 131)
HIPPOCAMPUS = _fingerprint((36, 50, 35), (1.0, 1.0, 1.0), 260)


# Isensee et al., Nature Methods 18 (2021), supplement: Medical Segmentation Decathlon, 3d_fullres; median shapes and
# spacings as published there, classes with background. The batch of the Hippocampus is capped by 5 % of all voxels.
@pytest.mark.parametrize(
    ("spacing", "median", "cases", "classes", "patch", "batch"),
    [
        ((1.0, 0.7676, 0.7676), (482, 512, 512), 131, 3, (128, 128, 128), 2),
        ((1.0, 1.0, 1.0), (36, 50, 35), 260, 3, (40, 56, 40), 9),
        ((1.0, 1.0, 1.0), (138, 170, 138), 484, 4, (128, 128, 128), 2),
        ((1.37, 1.25, 1.25), (115, 320, 232), 20, 2, (80, 192, 160), 2),
        ((3.6, 0.625, 0.625), (20, 320, 319), 32, 3, (20, 320, 256), 2),
        ((2.5, 0.8027, 0.8027), (96, 512, 512), 281, 3, (40, 224, 224), 2),
        ((1.6, 0.7929, 0.7929), (187, 512, 512), 41, 2, (64, 192, 160), 2),
    ],
    ids=["liver", "hippocampus", "brain tumour", "heart", "prostate", "pancreas", "spleen"],
)
def test_published_plans_by_the_published_estimate(
    spacing: tuple[float, ...], median: tuple[float, ...], cases: int, classes: int, patch: tuple[int, ...], batch: int
) -> None:
    chosen = choose_patches(spacing, median, math.prod(median) * cases, published_room(classes))
    assert (chosen.topology.patch, chosen.batch) == (patch, batch)


def test_slices_far_apart_take_the_finer_tenth() -> None:
    spacings = np.array([[5.0 + 0.5 * n, 1.5, 1.5] for n in range(11)])
    shapes = np.tile([10.0, 200.0, 200.0], (11, 1))
    assert target_spacing(spacings, shapes) == (pytest.approx(5.5), 1.5, 1.5)
    long = np.tile([100.0, 200.0, 200.0], (11, 1))
    assert target_spacing(spacings, long) == (pytest.approx(7.5), 1.5, 1.5), "an axis of many voxels keeps the median"


def test_the_finer_tenth_is_never_finer_than_the_other_axes() -> None:
    spacings = np.array([[0.5, 1.5, 1.5]] * 3 + [[9.0, 1.5, 1.5]] * 8)
    assert target_spacing(spacings, np.tile([10.0, 200.0, 200.0], (11, 1)))[0] == pytest.approx(1.50001)


def test_shapes_follow_the_spacing() -> None:
    assert median_shape(np.array([[2.0, 1.0, 1.0]]), np.array([[10.0, 20.0, 30.0]]), (1.0, 2.0, 1.0)) == (20, 10, 30)


def test_ours_fits_the_memory_it_was_given_and_is_near_nnunets() -> None:
    task = load_task("liver_ct", VOLUMES)
    settings = plan(LIVER, task, 10.0)
    built = task.model_validate({"name": "x"} | settings)
    patch, batch = built.training.patch, built.training.batch
    assert patch is not None
    assert training_bytes(built.network, patch, batch) <= 10.0 * GIB
    assert settings["spacing_mm"] == [0.7676, 0.7676, 1.0]
    assert (settings["window_hu"], settings["mean_hu"]) == ([-15.0, 197.0], 99.4)
    assert all(size % 2 ** (len(built.network.features) - 1) == 0 for size in patch)  # type: ignore[union-attr]
    assert (patch, batch) == ((128, 128, 128), 2), "in float32; nnU-Net needs 8 GB with half precision"
    assert settings["network"]["features"][:4] == [32, 64, 128, 256]
    assert max(settings["network"]["features"]) <= 320


def test_more_memory_never_gives_less() -> None:
    task = load_task("liver_ct", VOLUMES)
    planned = [plan(LIVER, task, gib)["training"] for gib in (4.0, 8.0, 16.0, 48.0)]
    work = [math.prod(one["patch"]) * one["batch"] for one in planned]
    assert work == sorted(work)
    assert work[0] < work[-1]


def test_a_small_organ_is_planned_as_published() -> None:
    settings = plan(HIPPOCAMPUS, load_task("liver_ct", VOLUMES), 8.0)
    assert (settings["training"]["patch"], settings["training"]["batch"]) == ([40, 56, 40], 9)
    assert settings["network"]["features"] == [32, 64, 128, 256]


def test_anisotropic_volumes_are_refused_where_all_axes_are_halved() -> None:
    prostate = _fingerprint((20, 320, 320), (3.6, 0.625, 0.625), 32)
    assert is_anisotropic((3.6, 0.625, 0.625))
    with pytest.raises(ConfigError, match="slices"):
        plan(prostate, load_task("liver_ct", VOLUMES), 8.0)
    slices = ["network={name: unet, in_channels: 1, out_channels: 3}", "windows.size=[null, null]"]
    settings = plan(prostate, load_task("liver_ct", slices), 8.0)
    assert len(settings["training"]["patch"]) == 2
    assert settings["spacing_mm"] == [0.625, 0.625, None], "slices as they are"


def test_no_memory_at_all_is_told() -> None:
    with pytest.raises(ConfigError, match="memory"):
        plan(LIVER, load_task("liver_ct", VOLUMES), 0.001)
    with pytest.raises(ConfigError, match="above 0"):
        plan(LIVER, load_task("liver_ct", VOLUMES), 0.0)


def test_a_network_of_given_depth_is_fitted_by_its_patch() -> None:
    settings = plan(LIVER, load_task("liver_ct"), 6.0)
    assert settings["network"]["block_config"] == [3, 6, 8, 6]
    assert all(size % 32 == 0 for size in settings["training"]["patch"])


def test_a_hybrid_keeps_its_slices() -> None:
    patch = plan(LIVER, load_task("liver_ct_h_dense_unet"), 12.0)["training"]["patch"]
    assert patch[0] == 12
    assert min(patch[1:]) >= 128


def test_films_are_planned_whole() -> None:
    films = _fingerprint((1, 300, 400), None, 2000).model_copy(
        update={"intensities": (HU.model_copy(update={"minimum": 0.0, "maximum": 255.0, "mean": 127.5, "std": 51.0}),)}
    )
    settings = plan(films, load_task("chest_pneumonia"), 8.0)
    assert settings["input"]["size_px"] == 320
    assert (settings["input"]["mean"], settings["input"]["std"]) == ([0.5], [0.2])
    assert settings["training"]["batch"] == 64
    scarce = plan(films, load_task("chest_pneumonia"), 0.05)
    assert scarce["input"]["size_px"] < 320


def test_volumes_are_classified_on_a_coarser_grid_where_memory_ends() -> None:
    task = load_task("volume_classification")
    ample, scarce = plan(LIVER, task, 400.0), plan(LIVER, task, 2.0)
    assert ample["spacing_mm"] == [0.7676, 0.7676, 1.0]
    assert min(scarce["spacing_mm"]) > 0.7676
    assert math.prod(scarce["size"]) < math.prod(ample["size"])


@pytest.mark.parametrize("overrides", [VOLUMES, []], ids=["3D U-Net", "as shipped"])
def test_the_file_loads_builds_and_says_why(tmp_path: Path, overrides: list[str]) -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((40, 44, 36), np.uint8)
    labels[10:30, 10:30, 10:30] = 1
    cases = [
        volume(str(n), rng.normal(60.0, 20.0, labels.shape).astype(np.float32), labels, (1.0, 1.0, 1.2))
        for n in range(3)
    ]
    task, path = load_task("liver_ct", overrides), tmp_path / "planned.yaml"
    seen = write_plan(dataset(*cases), task, 4.0, path)
    loaded = load_task(str(path))
    build(loaded.network, device="meta")
    assert loaded.name == "planned"
    assert loaded.weights is None
    assert loaded.training.batch >= 2
    text = path.read_text(encoding="utf-8")
    assert seen.data_sha256 in text
    assert yaml.safe_load(text) == make_plan(seen, task, 4.0).settings
    for key in ("training", "patch", "batch", "spacing_mm", "window_hu"):
        assert f"{key}:" in text
    assert "median of the cases" in text
    assert Fingerprint.model_validate_json((tmp_path / "planned.json").read_bytes()) == seen


def test_names_of_datasets_cannot_leave_their_comment() -> None:
    seen = LIVER.model_copy(update={"dataset": "a\nweights: /etc/passwd\u2028b"})
    text = plan_text(make_plan(seen, load_task("liver_ct", VOLUMES), 8.0), seen, 8.0)
    parsed: dict[str, Any] = yaml.safe_load(text)
    assert parsed["weights"] is None
