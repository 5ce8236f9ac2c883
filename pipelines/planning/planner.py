"""From a dataset's fingerprint to settings of a task: what nnU-Net would plan, for the networks there are here.

What is planned: the grid all cases are brought to, the range of intensities, depth and widths of U-Nets, patch and
batch for the memory at hand. What is not: which network (the task's YAML says), low resolution first with a cascade,
and everything of how training proceeds. docs/planning.md tells what differs from nnU-Net and why.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datasets.errors import ConfigError
from networks.configs import NetworkConfig
from pipelines.fingerprint import Fingerprint
from pipelines.planning.grids import is_anisotropic, median_shape, spacings_and_shapes, target_spacing
from pipelines.planning.memory import GIB, training_bytes
from pipelines.planning.networks import Plannable
from pipelines.planning.patch import LEAST_BATCH, Patches, Room, choose_patches
from pipelines.planning.topology import Spacing, Topology
from pipelines.task import Task

_STEP_PX = 32
# nnU-Net's step towards a coarser grid, and how many times finer an axis may be meanwhile.
_COARSER, _FINER = 1.03, 2.0
_FILMS_MOST, _SHARE_OF_DATASET = 64, 0.05
_FULL = 255.0


@dataclass
class Plan:
    """Settings and why they are what they are.

    Attributes:
        settings: Keys of a task's YAML.
        reasons: By dotted key, where the value is from.
    """

    settings: dict[str, Any]
    reasons: dict[str, str] = field(default_factory=dict)

    def put(self, key: str, value: Any, reason: str) -> None:
        """Set a key, dotted where it lies within others."""
        *parents, last = key.split(".")
        place = self.settings
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
        self.reasons[key] = reason


def make_plan(fingerprint: Fingerprint, task: Task, memory_gib: float) -> Plan:
    """Plan a task for a dataset.

    Args:
        fingerprint: Of the dataset.
        task: What is not planned is as it says, the kind of network above all.
        memory_gib: Of the device that trains.

    Returns:
        Settings that a task can be built from, untrained, with the reasons of those that were planned.

    Raises:
        ConfigError: The network cannot be trained in that memory, or does not fit the data.
    """
    if not memory_gib > 0:
        raise ConfigError("memory above 0 GiB", f"{memory_gib}", "correct it")
    settings = task.model_dump(mode="json", exclude_unset=True)
    plan = Plan(settings | {"kind": task.kind, "weights": None})
    # What belonged to the weights there were; a plan is called as its file is.
    for key in ("name", "operating_points", "calibration"):
        plan.settings.pop(key, None)
    plan.put("weights", None, "to be trained")
    limit = memory_gib * GIB
    if task.network.name == "densenet":
        _plan_whole(plan, fingerprint, task, limit)
    else:
        _plan_patches(plan, fingerprint, task, limit)
    return plan


def plan(fingerprint: Fingerprint, task: Task, memory_gib: float) -> dict[str, Any]:
    """The settings of `make_plan` alone: keys of a task's YAML."""
    return make_plan(fingerprint, task, memory_gib).settings


def _plan_patches(plan: Plan, fingerprint: Fingerprint, task: Task, limit: float) -> None:
    """For networks that label voxels."""
    fields, network = type(task).model_fields, task.network
    spacings, shapes = spacings_and_shapes(fingerprint)
    target = target_spacing(spacings, shapes)
    median = median_shape(spacings, shapes, target)
    _check_dimensions(fingerprint, network, target)
    flat = network.spatial_dims == 2
    if "spacing_mm" in fields:
        left, posterior, superior = (round(step, 4) for step in reversed(target))
        why = "median of the cases, along left, posterior, superior"
        if target != tuple(float(step) for step in np.median(spacings, axis=0)):
            why += "; slices far apart: 10th percentile of theirs"
        plan.put("spacing_mm", [left, posterior, None if flat else superior], why + ("; slices as they are" * flat))
    if "window_hu" in fields:
        _plan_window(plan, fingerprint)
    plannable = Plannable(network)
    spacing, size = (target[1:], median[1:]) if flat else (target, median)

    def memory(found: Topology, batch: int) -> float:
        return training_bytes(plannable.of(found), found.patch, batch)

    voxels = math.prod(median) * len(fingerprint.cases)
    chosen = choose_patches(spacing, size, voxels, Room(memory, limit, plannable.fit))
    _put_patches(plan, plannable, chosen, size, memory(chosen.topology, chosen.batch))
    windows = plan.settings.get("windows")
    if not flat and "windows" in fields and network.name != "h_dense_unet":
        plan.settings["windows"] = dict(windows or {})
        plan.put("windows.size", list(chosen.topology.patch), "as in training")


def _check_dimensions(fingerprint: Fingerprint, network: NetworkConfig, target: Spacing) -> None:
    if network.spatial_dims == 2:
        return
    if fingerprint.is_flat:
        raise ConfigError("volumes for a network of three dimensions", "pictures", "set network.spatial_dims: 2")
    if is_anisotropic(target) and Plannable(network).is_deepened:
        apart = " x ".join(f"{step:.3g}" for step in target)
        raise ConfigError(
            f"spacings that differ by less than 3 times for {network.name} in three dimensions, which halves all axes "
            "together",
            f"{apart} mm",
            "plan a network of slices (unet or unet_plus_plus with spatial_dims 2, dense_unet) or dense_unet_3d",
        )


def _plan_window(plan: Plan, fingerprint: Fingerprint) -> None:
    values = fingerprint.intensities[0]
    low, high = round(values.percentile_0_5, 1), round(values.percentile_99_5, 1)
    if not low < high:
        return
    plan.put("window_hu", [low, high], "0.5th and 99.5th percentile of labelled voxels")
    plan.put("mean_hu", round(values.mean, 1), f"mean of labelled voxels; their deviation is {values.std:.1f}")


def _put_patches(plan: Plan, plannable: Plannable, chosen: Patches, median: tuple[float, ...], taken: float) -> None:
    network = plannable.of(chosen.topology)
    if plannable.is_deepened:
        changed = network.model_dump(mode="json")
        deepest = [size // by for size, by in zip(chosen.topology.patch, chosen.topology.divisors, strict=True)]
        reason = f"halved {len(chosen.topology.strides)} times, to {' x '.join(str(edge) for edge in deepest)}; from 32"
        plan.put("network.features", list(changed["features"]), f"{reason}, doubling, nnU-Net's widths")
        plan.put("network.normalisation", "batch", "trains faster and needs no dropout")
        for key in ("dropout", "level"):
            plan.settings["network"].pop(key, None)
    whole = " x ".join(f"{size:.0f}" for size in median)
    plan.put("training.patch", list(chosen.topology.patch), f"of a median case of {whole}; axes as the network's")
    why = "5 % of all voxels at most" if chosen.capped else "as many as fit"
    plan.put("training.batch", chosen.batch, f"{why}; {taken / GIB:.1f} GiB estimated in float32")


def _plan_whole(plan: Plan, fingerprint: Fingerprint, task: Task, limit: float) -> None:
    """For classifiers, which see all of a picture or volume: nnU-Net's way to a coarser grid, until a batch fits."""
    fields, network = type(task).model_fields, task.network
    spacings, shapes = spacings_and_shapes(fingerprint)
    target = target_spacing(spacings, shapes)
    median = median_shape(spacings, shapes, target)
    flat = network.spatial_dims == 2
    if flat and not fingerprint.is_flat:
        raise ConfigError("pictures for a network of two dimensions", "volumes", "set network.spatial_dims: 3")
    if "input" not in fields or (not flat and "size" not in fields):
        raise ConfigError("a task whose pictures can be planned", task.kind, "plan it by hand")
    whole = np.asarray(median[1:] if flat else median)
    steps = np.asarray(target[1:] if flat else target)
    if flat:
        whole = np.full(2, whole.min())
    start = steps.copy()
    while training_bytes(network, _raised(whole * start / steps), LEAST_BATCH) > limit:
        if (whole * start / steps).max() < _STEP_PX:
            raise ConfigError("memory for two pictures of any size", f"{limit / GIB:.2f} GiB", "give it more memory")
        fine = steps.max() / steps > _FINER
        steps[fine if fine.any() else slice(None)] *= _COARSER
    size = _raised(whole * start / steps)
    batch = LEAST_BATCH
    allowed = min(_FILMS_MOST, round(_SHARE_OF_DATASET * len(fingerprint.cases)))
    while batch < allowed and training_bytes(network, size, batch + 1) <= limit:
        batch += 1
    if flat:
        plan.put("input", _input(fingerprint, network.in_channels, size[0]), "shorter edge of the median picture")
    else:
        plan.put("size", list(size), "the median case, (D, H, W)")
        plan.put(
            "spacing_mm", [round(float(step), 4) for step in reversed(steps)], "median, coarser until a batch fits"
        )
    taken = training_bytes(network, size, batch) / GIB
    plan.put("training.batch", batch, f"as many as fit, 5 % of the cases at most; {taken:.1f} GiB estimated in float32")


def _raised(size: Any) -> tuple[int, ...]:
    return tuple(max(_STEP_PX, math.ceil(edge / _STEP_PX - 1e-6) * _STEP_PX) for edge in size.tolist())


def _input(fingerprint: Fingerprint, channels: int, size_px: int) -> Mapping[str, Any]:
    """What pixels are expected: mean and deviation of the set, where its values are those of pictures of 8 bits."""
    values = fingerprint.intensities
    known = all(one.minimum >= 0.0 and one.maximum <= _FULL for one in values) and values[0].maximum > 1.0
    told: dict[str, Any] = {"channels": channels, "size_px": size_px}
    if not known or min(one.std for one in values) <= 0.0:
        return {"scale": "[0, 1] of the display range"} | told
    mean, std = [round(one.mean / _FULL, 3) for one in values], [round(one.std / _FULL, 3) for one in values]
    if len(values) != channels:
        mean, std = mean[:1], std[:1]
    return (
        {"scale": "[0, 1] of the display range, then the set's mean and deviation"} | told | {"mean": mean, "std": std}
    )
