"""The GPU says what the CPU says."""

import numpy as np
import pytest

from datasets.phantoms import default_grid
from pipelines.phantom_check import phantom_study
from pipelines.run import Pipeline
from pipelines.task import load_task


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_labels_on_the_gpu_equal_the_cpus(precision):
    task = load_task("liver_ct")
    study = phantom_study(30_001, default_grid((1.2, 1.2, 4.0)))
    on_cpu = Pipeline.load(task, "cpu").run(study).labels
    on_gpu = Pipeline.load(task, "cuda", precision).run(study).labels
    assert np.mean(on_cpu.array == on_gpu.array) >= 0.999
    either = (on_cpu.array > 0) | (on_gpu.array > 0)
    assert np.mean((on_cpu.array == on_gpu.array)[either]) >= 0.99
