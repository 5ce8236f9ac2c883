"""The training loop of the weights that ship: shrunk, it learns two patients by heart."""

from functools import partial

import numpy as np
import pytest
import torch

from datasets.image import Image
from pipelines.demo_weights import Case, batches
from pipelines.examination import Compute
from pipelines.metrics.dice import dice
from pipelines.model_store import untrained
from pipelines.phantom_training import Schedule, train
from pipelines.regions import components_by_size
from pipelines.run import Pipeline
from pipelines.task import Task, load_task
from tests.pipelines.liver_scene import (
    BODY,
    LIVER_HU,
    TUMOR_HU,
    Ellipsoid,
    Reading,
    field_of_view,
    scan,
    study,
    truth,
)

SHRUNK = (
    "network={name: dense_unet, init_features: 8, growth_rate: 8, block_config: [2, 2], feature_channels: 8,"
    " norm_momentum: 0.1, dropout: 0.0}",
    "spacing_mm=[4, 4, 6]",
    "min_tumor_ml=0.5",
)
GRID = field_of_view((2.0, 2.0, 3.0))
PATIENTS = (
    (BODY, Ellipsoid((12, 5, 2), (34, 27, 28), LIVER_HU, 20), Ellipsoid((22, 9, 5), (12, 11, 14), TUMOR_HU)),
    (BODY, Ellipsoid((16, 0, 0), (30, 32, 26), LIVER_HU, -10), Ellipsoid((8, -9, -5), (13, 12, 12), TUMOR_HU)),
)
SCHEDULE = Schedule(phantoms=2, steps=350, batch=4, crop_px=24, peak_rate=1e-2, settle_steps=30, settle_rate=1e-3)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("liver_ct", SHRUNK)


@pytest.fixture(scope="module")
def cases(task: Task) -> list[Case]:
    return [_case(task, scan(GRID, parts), parts) for parts in PATIENTS]


def _case(task: Task, image: Image, parts: tuple[Ellipsoid, ...]) -> Case:
    prepared = task.preprocess(image)
    labels = np.ascontiguousarray(truth(prepared.grid, parts).transpose(2, 1, 0))
    tumors, _ = components_by_size(labels == 2)
    return Case(prepared.slices().astype(np.float16), labels, tumors)


def test_crops_are_three_neighbouring_slices_and_the_labels_of_the_middle_one(cases: list[Case]) -> None:
    shown = set()
    for inputs, labels in batches(cases, SCHEDULE):
        assert inputs.shape == (4, 3, 24, 24)
        assert inputs.dtype == torch.float32
        assert labels.shape == (4, 1, 24, 24)
        assert float(inputs.min()) >= -248.0
        assert float(inputs.max()) <= 202.0
        shown |= set(labels.unique().tolist())
    assert shown == {0, 1, 2}


def test_two_patients_are_learned_by_heart(task: Task, cases: list[Case]) -> None:
    before = torch.random.get_rng_state()
    network = train(task.network, partial(batches, cases), SCHEDULE)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not network.training
    pipeline = Pipeline(task, network, untrained(), Compute("cpu"))
    for parts in PATIENTS:
        found = pipeline.run(study(Reading(scan(GRID, parts)))).labels.array[0]
        true = truth(GRID, parts)
        assert dice(found > 0, true > 0) > 0.9
        assert dice(found == 2, true == 2) > 0.7
