"""From a task to its lesson."""

from datasets.errors import ConfigError, WeightsError
from pipelines.classifier_task import ClassifierTask
from pipelines.image_task import ImageTask
from pipelines.model_store import Card, find_weights, read_card
from pipelines.task import Task
from pipelines.tasks.histopathology import Histopathology
from pipelines.training.class_lesson import ClassLesson
from pipelines.training.lesson import Lesson
from pipelines.training.patch_lesson import PatchLesson
from pipelines.training.voxel_lesson import VoxelLesson


def lesson_of(task: Task) -> Lesson:
    """What a training needs to know of a task.

    A classifier learns what the YAML's weights, if it names any, expect and tell: the same pixels, the same labels.
    What was fitted to those weights, calibration and operating points, is not taken over.

    Raises:
        ConfigError: Tasks of this kind are not trained here.
    """
    if isinstance(task, ImageTask):
        return VoxelLesson(task)
    if isinstance(task, ClassifierTask):
        suited = task.suited_to(_card_of(task))
        return ClassLesson(suited.model_copy(update={"operating_points": {}, "calibration": {}}))
    if isinstance(task, Histopathology):
        own = task.suited_to(_card_of(task))
        return PatchLesson(own.model_copy(update={"threshold": None, "calibration": None}))
    raise ConfigError(
        "a task that labels voxels or classifies studies",
        f"{task.name}, of kind {task.kind}",
        "its weights are made by a module of their own: see docs/model-cards",
    )


def _card_of(task: Task) -> Card | None:
    if task.weights is None:
        return None
    try:
        return read_card(find_weights(task.weights))
    except WeightsError:
        return None  # Weights that are yet to be made.
