"""What runs inside an exported MONAI bundle: transforms, inferer and loop around the task's own steps.

An export copies this module, and what it imports, into the bundle's `scripts`, where only MONAI's own requirements and
those its metadata names are needed. Images are MONAI's: (C, I, J, K), or (C, I, J) for pictures, with an affine to RAS.
"""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config.type_definitions import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.inferers.inferer import Inferer
from monai.transforms.transform import MapTransform
from torch import Tensor, nn

from datasets.image import Image, Intensity
from datasets.io.picture import read_picture
from networks.inference import for_inference
from pipelines.classifier_task import ClassifierTask
from pipelines.examination import Compute, Prediction
from pipelines.image_task import ImageTask
from pipelines.resample import grid_mapping, resample
from pipelines.task import Task
from pipelines.tensors import as_tensor, image_of

_SCAN, _SPACED = "scan", "spaced"


def task_of(path: str) -> Task:
    """The task a bundle was exported for, of its settings as JSON."""
    settings = json.loads(Path(path).read_text(encoding="utf-8"))
    task: Task = import_module(f"pipelines.tasks.{settings['kind']}").TASK.model_validate(settings)
    return task


def images_in(folder: str, endings: Sequence[str]) -> list[dict[str, str]]:
    """Files of a folder by their endings, in order, as MONAI's datasets take them."""
    paths = sorted(path for path in Path(folder).iterdir() if path.name.lower().endswith(tuple(endings)))
    return [{"image": str(path)} for path in paths]


def loaded(network: nn.Module, weights: str, device: torch.device) -> nn.Module:
    """The network with its weights, all of them, rewritten for inference; nothing in the file is run."""
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return for_inference(network.to(device))


class Picturesd(MapTransform):
    """Reads PNG and JPEG of every kind as denselens does: upright, without transparency, values as they were stored.

    Args:
        keys: Of paths.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The same data, with what comes of the keys in their place."""
        done = dict(data)
        for key in self.key_iterator(done):
            path = Path(str(done[key]))
            image = read_picture(path).image
            affine = np.eye(4) if image.affine is None else image.affine
            meta = {"filename_or_obj": str(path), "spatial_shape": image.shape[:2], "original_affine": affine}
            done[key] = _as_monai(image, MetaTensor(torch.zeros(1), meta=meta))
        return done


class Resampled(MapTransform):
    """Brings a volume to a spacing as the task does it: averaging where that is coarser, no slice lost.

    Args:
        keys: Of images (C, I, J, K) with an affine.
        spacing_mm: Along their axes; null keeps the image's own.
    """

    def __init__(self, keys: KeysCollection, spacing_mm: Sequence[float | None]) -> None:
        super().__init__(keys)
        self.spacing_mm = (spacing_mm[0], spacing_mm[1], spacing_mm[2])

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The same data, with what comes of the keys in their place."""
        done = dict(data)
        for key in self.key_iterator(done):
            image = image_from(done[key])
            grid = image.grid.with_spacing(self.spacing_mm)
            volume = as_tensor(image)
            if any(self.spacing_mm):
                shape = (grid.shape[2], grid.shape[1], grid.shape[0])
                volume = resample(volume, shape, grid_mapping(image.grid.affine, grid.affine))
            done[key] = _as_monai(image_of(volume.float(), Intensity.GREY, grid.affine), done[key])
        return done


class Preparedd(MapTransform):
    """Prepares an image as the task does it.

    Args:
        keys: Of images.
        task: Of the bundle.
    """

    def __init__(self, keys: KeysCollection, task: Task) -> None:
        super().__init__(keys)
        self.task = task

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The same data, with what comes of the keys in their place."""
        done = dict(data)
        for key in self.key_iterator(done):
            prepare = getattr(self.task, "preprocess")  # noqa: B009 - tasks of one image and of films have it
            done[key] = _as_monai(prepare(image_from(done[key])), done[key])
        return done


class VoxelInferer(Inferer):
    """Sends a prepared image through the network in the task's windows, and brings the answer back to the scan's grid.

    Args:
        task: Of the bundle.
        device: Where the network is.
    """

    def __init__(self, task: ImageTask, device: torch.device) -> None:
        super().__init__()
        self.task, self.compute = task, Compute(str(device))

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """(1, C, I, J, K) to (1, 1 + labels, I', J', K') uint8: labels, not cleaned, and probabilities in 1/255."""
        del args, kwargs
        (prepared,) = inputs
        said = self.task.infer(network, image_from(prepared), self._scan(prepared), self.compute)
        parts = [said.labels.array] if said.probabilities is None else [said.labels.array, said.probabilities.array]
        return torch.from_numpy(np.ascontiguousarray(np.concatenate(parts)))[None]

    def _scan(self, prepared: Tensor) -> Image:
        """The scan's grid: as the file had it, before it was turned and resampled; its values do not matter here."""
        meta = prepared.meta if isinstance(prepared, MetaTensor) else {}
        shape = [int(size) for size in np.asarray(meta["spatial_shape"]).ravel()]
        shape += [1] * (3 - len(shape))
        affine = np.asarray(meta["original_affine"], np.float64) if meta.get(_SPACED, True) else None
        return Image(np.broadcast_to(np.uint8(0), (1, *shape)), Intensity.GREY, affine)


class Interpretedd(MapTransform):
    """Cleans a label map as the task does it: (1 + labels, I, J, K) as `VoxelInferer` gives it to (1, I, J, K) uint8.

    Args:
        keys: Of predictions.
        task: Of the bundle.
    """

    def __init__(self, keys: KeysCollection, task: ImageTask) -> None:
        super().__init__(keys)
        self.task = task

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The same data, with what comes of the keys in their place."""
        done = dict(data)
        scan = image_from(done[_SCAN])
        for key in self.key_iterator(done):
            said = done[key].numpy()
            rest = Image(said[1:], Intensity.PROBABILITY, scan.affine) if said.shape[0] > 1 else None
            labels = self.task.interpret(Prediction(Image(said[:1], Intensity.LABEL, scan.affine), rest), scan).labels
            if labels is not None:
                done[key] = _as_monai(labels, done[_SCAN])
        return done


class Answeredd(MapTransform):
    """Findings and scores of a classifier's logits, written as `NAME.json` into a folder.

    Args:
        keys: Of logits (outputs,).
        task: Of the bundle.
        folder: Where to write.
    """

    def __init__(self, keys: KeysCollection, task: ClassifierTask, folder: str) -> None:
        super().__init__(keys)
        self.task, self.folder = task, Path(folder)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The same data, with what comes of the keys in their place."""
        done, judge = dict(data), self.task.judge
        for key in self.key_iterator(done):
            answers = judge.answers(done[key].double().numpy())
            told = {
                "findings": [finding.model_dump(mode="json") for finding in judge.findings(answers)],
                "quantities": [quantity.model_dump(mode="json") for quantity in judge.quantities(answers)],
                "research_use_only": True,
            }
            self.folder.mkdir(parents=True, exist_ok=True)
            name = Path(str(done["image"].meta["filename_or_obj"])).name
            (self.folder / f"{name}.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
            done[key] = told
        return done


class PictureInferer(Inferer):
    """One call of a classifier: prepared pictures (N, C, I, J, 1) or volumes (N, C, I, J, K) to logits (N, outputs)."""

    def __init__(self, spatial_dims: int) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Logits of a batch."""
        del args, kwargs
        batch = torch.as_tensor(inputs).permute(0, 1, 4, 3, 2)
        logits: Tensor = network(batch[:, :, 0] if self.spatial_dims == 2 else batch)
        return logits


class Inference:
    """The loop: every image of a dataset through inferer and post-processing, one by one.

    MONAI's own evaluator is one of pytorch-ignite's engines; this needs neither, and stands under the same name.
    """

    def __init__(
        self, dataset: Iterable[dict[str, Any]], network: nn.Module, inferer: Inferer, postprocessing: Any, device: Any
    ) -> None:
        self.dataset, self.network, self.inferer = dataset, network, inferer
        self.postprocessing, self.device = postprocessing, torch.device(device)

    def run(self) -> int:
        """How many images there were."""
        count = 0
        for item in self.dataset:
            with torch.inference_mode():
                said = self.inferer(item["image"][None].to(self.device), self.network)
            self.postprocessing(item | {"pred": said[0].cpu()})
            count += 1
        return count


def image_from(tensor: Tensor) -> Image:
    """MONAI's image as ours; a picture gets a slice axis, and no affine where it has none of its own."""
    array = np.asarray(torch.as_tensor(tensor).cpu().numpy())
    array = array.reshape(*array.shape, *(1,) * (4 - array.ndim))
    spaced = isinstance(tensor, MetaTensor) and tensor.meta.get(_SPACED, True)
    affine = np.asarray(tensor.affine, np.float64) if spaced and isinstance(tensor, MetaTensor) else None
    return Image(array, Intensity.GREY, affine)


def _as_monai(image: Image, like: Tensor) -> MetaTensor:
    """Our image as MONAI's, with what is known of the file; transforms done so far are no longer its history."""
    meta = dict(like.meta) if isinstance(like, MetaTensor) else {}
    meta.pop("affine", None)
    # MONAI gives every image an affine; whether it is true stands beside it.
    meta[_SPACED] = image.affine is not None
    affine = torch.eye(4, dtype=torch.float64) if image.affine is None else torch.from_numpy(image.affine.copy())
    flat = image.affine is None and image.shape[2] == 1 and image.intensity is Intensity.LABEL
    array = image.array[..., 0] if flat else image.array
    return MetaTensor(torch.from_numpy(np.array(array)), affine=affine, meta=meta)
