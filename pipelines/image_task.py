"""Tasks that look at one image: prepared, sent through a network, interpreted."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.errors import ConfigError
from datasets.image import Image
from pipelines.examination import (
    Chosen,
    Clock,
    Compute,
    Examination,
    Instruments,
    Interpretation,
    Network,
    Prediction,
    Seen,
)
from pipelines.image_records import GridRecord
from pipelines.localise import Searched
from pipelines.task import Task, load_task


class ImageTask(Task):
    """A task of one image: three functions, which training, evaluation and every door share."""

    @property
    def channels(self) -> int:
        """Of a prepared image."""
        return 1

    def wanted(self, truth: NDArray[np.integer]) -> NDArray[np.integer]:
        """What the network is to say of voxels whose truth is known: the task's labels, unless it learns others.

        Args:
            truth: (D, H, W), indices of the task's labels, or numbers of objects where those are what is known.
        """
        return truth

    @property
    def explained_labels(self) -> tuple[str, ...]:
        """Labels of voxels."""
        return self.label_set.names

    @property
    def learnt_classes(self) -> tuple[str, ...]:
        """Names of what `wanted` gives, by its numbers; background first."""
        return ("background", *self.label_set.names)

    @abstractmethod
    def preprocess(self, image: Image) -> Image:
        """Put an image on the grid and scale the network was trained on; the same for training and every door."""

    @abstractmethod
    def infer(self, network: Network, prepared: Image, image: Image, compute: Compute) -> Prediction:
        """Run the network over a prepared image and bring what it says back to the grid of `image`."""

    @abstractmethod
    def interpret(self, prediction: Prediction, image: Image) -> Interpretation:
        """Turn a prediction into findings and measurements on the grid of `image`."""

    def examine(self, chosen: Chosen, instruments: Instruments, clock: Clock) -> Examination:
        """Load, prepare, ask the network, interpret; where there is a coarse look, only what it points at is searched.

        Raises:
            InputRefused: The image cannot be scored honestly.
        """
        with clock.measure("load"):
            loaded = chosen.series[0].load()
        image = loaded.image
        with clock.measure("preprocess"):
            prepared = self.preprocess(image)
            searched = instruments.localiser.crop(prepared, image) if instruments.localiser else Searched(prepared)
        with clock.measure("network"), torch.inference_mode():
            prediction = self.infer(instruments.network, searched.image, image, instruments.compute)
        with clock.measure("postprocess"):
            said = self.interpret(prediction, image)
        return Examination(
            findings=said.findings,
            quantities=said.quantities,
            flags=(*searched.flags(said.labels), *prediction.flags, *said.flags),
            repairs=loaded.repairs,
            grid=GridRecord.of(image.grid) if image.affine is not None else None,
            labels=said.labels,
            probabilities=prediction.probabilities if self.output.probability else None,
            source=loaded.source,
            sources=loaded.sources,
            files=said.files,
            instances=said.instances,
            seen=(Seen(searched.image, image, chosen.series[0].uid, dicom=loaded.source),),
        )


def load_image_task(name_or_path: str, overrides: Sequence[str] = ()) -> ImageTask:
    """A task of one image by its name or file, for those who need its steps one by one.

    Raises:
        ConfigError: As `load_task`, or it is a task of another sort.
    """
    task = load_task(name_or_path, overrides)
    if not isinstance(task, ImageTask):
        raise ConfigError("a task that looks at one image", f"{task.name}, of kind {task.kind}", "name another task")
    return task
