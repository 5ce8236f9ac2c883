"""A task's inference as the configuration of a MONAI bundle.

Loading, turning and intensity are MONAI's transforms; what MONAI does otherwise (resampling that averages, windows as
a stream, the task's own rules) are steps in the bundle's `scripts`, so that a bundle says what scoring says.
"""

from collections.abc import Iterable
from typing import Any

from monai.transforms.compose import Compose
from monai.transforms.intensity.array import ScaleIntensityRange

from datasets.errors import ConfigError
from pipelines.bundle.sources import scripted
from pipelines.classifier_task import ClassifierTask
from pipelines.image_task import ImageTask
from pipelines.task import Task

Config = dict[str, Any]

_KEY = "image"
_VOLUMES, _PICTURES = [".nii.gz", ".nii"], [".png", ".jpg", ".jpeg"]
# i to the Left, j to Posterior, k to Superior, by the letters MONAI has for an axis' two ends.
_CANONICAL, _ENDS = "LPS", [["L", "R"], ["P", "A"], ["I", "S"]]
STEPS = scripted("pipelines.bundle.steps")


def check_task(task: Task) -> None:
    """Refuse a task that cannot be run image by image.

    Raises:
        ConfigError: It scores slides, several series at once, or needs further networks.
    """
    told = f"{task.name}, of kind {task.kind}"
    if not isinstance(task, ImageTask | ClassifierTask) or not hasattr(task, "preprocess"):
        raise ConfigError("a task of one volume, film or picture", told, "bundles run image by image")
    if isinstance(task, ClassifierTask) and task.network.spatial_dims != 2:
        raise ConfigError(
            "a task of one volume, film or picture", f"{told}, on sequences", "bundles run image by image"
        )
    if task.localisation() is not None:
        raise ConfigError("a task with one network", f"{told}, with a coarse look first", "export with localise: null")
    if task.assistants():
        raise ConfigError("a task with one network", f"{told}, with {len(task.assistants())} more", "switch them off")


def inference_config(task: Task) -> Config:
    """The content of `configs/inference.json`."""
    volumes = _is_of_volumes(task)
    saving = "seg" if isinstance(task, ImageTask) else None
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_dir": "$@bundle_root + '/output'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "task": {"_target_": f"{STEPS}.task_of", "path": "$@bundle_root + '/configs/task.json'"},
        "data": {
            "_target_": f"{STEPS}.images_in",
            "folder": "@dataset_dir",
            "endings": _VOLUMES if volumes else _PICTURES,
        },
        "network_def": _network(task),
        "network": {
            "_target_": f"{STEPS}.loaded",
            "network": "@network_def",
            "weights": "$@bundle_root + '/models/model.pt'",
            "device": "@device",
        },
        "preprocessing": {"_target_": "Compose", "transforms": [*_preprocessing(task, volumes=volumes)]},
        "dataset": {"_target_": "Dataset", "data": "@data", "transform": "@preprocessing"},
        "inferer": _inferer(task),
        "postprocessing": {"_target_": "Compose", "transforms": [*_postprocessing(task, saving, volumes=volumes)]},
        "evaluator": {
            "_target_": f"{STEPS}.Inference",
            "dataset": "@dataset",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "device": "@device",
        },
        "run": ["$@evaluator.run()"],
    }


def intensity_transforms(compose: Compose) -> list[Config]:
    """A task's own MONAI transforms, as they are, in MONAI's configuration language.

    Raises:
        ConfigError: One of them is not known here.
    """
    told = []
    for one in compose.transforms:
        if not isinstance(one, ScaleIntensityRange):
            raise ConfigError("transforms that can be written down", type(one).__name__, "add it to pipelines/bundle")
        told.append(
            {
                "_target_": "ScaleIntensityRanged",
                "keys": _KEY,
                "a_min": one.a_min,
                "a_max": one.a_max,
                "b_min": one.b_min,
                "b_max": one.b_max,
                "clip": one.clip,
            }
        )
    return told


def _is_of_volumes(task: Task) -> bool:
    return hasattr(task, "transforms") and hasattr(task, "spacing_mm")


def _network(task: Task) -> Config:
    settings = task.network.model_dump(mode="json", exclude_none=True)
    config = {"_target_": scripted(f"networks.configs.{type(task.network).__name__}")} | settings
    return {"_target_": scripted(f"networks.{task.network.name}.Network"), "config": config}


def _preprocessing(task: Task, *, volumes: bool) -> Iterable[Config]:
    if volumes:
        yield {"_target_": "LoadImaged", "keys": _KEY, "reader": "NibabelReader", "ensure_channel_first": True}
        yield {"_target_": "CopyItemsd", "keys": _KEY, "times": 1, "names": ["scan"]}
        yield {"_target_": "Orientationd", "keys": _KEY, "axcodes": _CANONICAL, "labels": _ENDS}
        yield {"_target_": f"{STEPS}.Resampled", "keys": _KEY, "spacing_mm": list(getattr(task, "spacing_mm"))}  # noqa: B009
        yield from intensity_transforms(getattr(task, "transforms")())  # noqa: B009
        return
    # MONAI's reader keeps transparency as a channel, leaves pictures lying on their side and palettes as numbers.
    yield {"_target_": f"{STEPS}.Picturesd", "keys": _KEY}
    yield {"_target_": "CopyItemsd", "keys": _KEY, "times": 1, "names": ["scan"]}
    yield {"_target_": f"{STEPS}.Preparedd", "keys": _KEY, "task": "@task"}


def _inferer(task: Task) -> Config:
    if isinstance(task, ImageTask):
        return {"_target_": f"{STEPS}.VoxelInferer", "task": "@task", "device": "@device"}
    return {"_target_": f"{STEPS}.PictureInferer", "spatial_dims": task.network.spatial_dims}


def _postprocessing(task: Task, saving: str | None, *, volumes: bool) -> Iterable[Config]:
    if saving is None:
        yield {"_target_": f"{STEPS}.Answeredd", "keys": "pred", "task": "@task", "folder": "@output_dir"}
        return
    yield {"_target_": f"{STEPS}.Interpretedd", "keys": "pred", "task": "@task"}
    yield {
        "_target_": "SaveImaged",
        "keys": "pred",
        "output_dir": "@output_dir",
        "output_postfix": saving,
        "output_ext": ".nii.gz" if volumes else ".png",
        "output_dtype": "$__import__('numpy').uint8",
        "resample": False,
        "separate_folder": False,
    }
