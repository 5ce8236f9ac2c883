"""The lesson of patches of stained sections: whether there is tumour in the middle of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.example import Example
from networks.configs import Input
from pipelines.classification import AnyHead, ClassesHead, FindingsHead
from pipelines.histology.hot_spots import LABEL
from pipelines.histology.loose_patches import colour_pixels
from pipelines.patch_input import IMAGENET, as_input
from pipelines.tasks.histopathology import Histopathology
from pipelines.training.class_lesson import HeadsLesson, wanted_of
from pipelines.training.prepared import Case

_NONE = f"no_{LABEL}"


@dataclass(frozen=True)
class PatchLesson(HeadsLesson):
    """A lesson in patches; they are taken as they are, as a patch is when it is scored by itself.

    Attributes:
        task: Suited to what its weights expect, with the settings of its training.
    """

    task: Histopathology

    @property
    def heads(self) -> tuple[AnyHead, ...]:
        """One logit of tumour, or two classes."""
        if self.task.network.out_channels == 1:
            return (FindingsHead(labels=(LABEL,)),)
        return (ClassesHead(labels=(_NONE, LABEL), negative=_NONE),)

    @property
    def outputs(self) -> tuple[str, ...]:
        """In their order."""
        return self.heads[0].names

    @property
    def _expected(self) -> Input:
        return self.task.input or IMAGENET

    def told(self) -> dict[str, Any]:
        """Labels of the outputs, and what pixels are expected."""
        expected = self._expected.model_copy(update={"size_px": self.task.patch_px})
        return {"labels": self.outputs, "input": expected}

    def prepare(self, example: Example) -> Sequence[Case]:
        """One patch.

        Raises:
            InputRefused: It cannot be read, is not in colour (`wrong_modality`) or of another size
                (`unsupported_dimensions`).
            ConfigError: The example's truth is of another sort, or names classes that are not learnt.
        """
        truth = wanted_of(example, self.heads, self.task.training.labels)
        pixels = colour_pixels(self.task.choose(example.study).series[0].load().image, example.name)
        edge = self.task.patch_px
        if pixels.shape[:2] != (edge, edge):
            raise InputRefused(
                RefusalCode.UNSUPPORTED_DIMENSIONS,
                f"a patch of {edge} x {edge} pixels",
                f"{pixels.shape[1]} x {pixels.shape[0]} in {example.name}",
                "cut patches of this size, or set patch_px",
            )
        inputs = as_input(pixels[np.newaxis], self._expected)[0]
        return (Case(example.name, np.ascontiguousarray(inputs[:, np.newaxis].numpy()), truth, {}),)
