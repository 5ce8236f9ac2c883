"""Plans that cannot be written."""

from pathlib import Path

import numpy as np
import pytest

from datasets.errors import ConfigError
from pipelines.planning import write_plan
from pipelines.task import load_task
from tests.pipelines.example_sets import dataset, volume

ONE = dataset(volume("a", np.ones((40, 40, 40), np.float32), np.ones((40, 40, 40))))


def test_a_plan_is_yaml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.yaml"):
        write_plan(ONE, load_task("liver_ct"), 4.0, tmp_path / "plan.txt")


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="written to"):
        write_plan(ONE, load_task("liver_ct"), 4.0, tmp_path / "file" / "plan.yaml")
