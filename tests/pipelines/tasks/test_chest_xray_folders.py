"""Pictures in folders: each a study of its own, or all views of one examination as MURA stores them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from datasets.io.discover import open_inputs
from datasets.phantoms import film_phantom
from datasets.study import Study
from networks.configs import DenseNetConfig
from pipelines.results import Result
from pipelines.run import Pipeline
from pipelines.task import load_task

NETWORK = DenseNetConfig(block_config=(1, 1), growth_rate=4, init_features=8, in_channels=3, out_channels=1)
LAYOUT = ("patient1/study1_positive/image1", "patient1/study1_positive/image2", "patient2/study1_positive/image1")


@pytest.fixture(scope="module")
def mura(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mura")
    for seed, name in enumerate(LAYOUT):
        file = folder / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(film_phantom(seed).image(96).array[0, :, :, 0].T).save(file)
    (folder / LAYOUT[0]).with_name("broken.png").write_bytes(b"no picture")
    return folder


def _scored(folder: Path, *settings: str) -> Mapping[str, Result]:
    task = load_task("bone_abnormality", ["input.size_px=64", *settings])
    pipeline = Pipeline.load(task.model_copy(update={"network": NETWORK}), "cpu", "fp32")
    with open_inputs([folder]) as inventory:
        gathered: tuple[Study, ...] = task.gather(inventory.studies)
        return {study.uid: pipeline.run(study) for study in gathered if study.refusal is None}


def test_every_picture_is_a_study_unless_the_folder_is(mura: Path) -> None:
    alone = _scored(mura)
    assert len(alone) == 3
    assert all(result.views == () for result in alone.values())
    together = _scored(mura, "pictures=by_folder")
    assert sorted(together) == ["study1_positive-patient1", "study1_positive-patient2"]
    two = together["study1_positive-patient1"]
    assert [view.source for view in two.views] == ["image1", "image2"]
    each = [view.findings[0].raw_probability or 0.0 for view in two.views]
    # MURA's rule: the mean of the views' probabilities, called from 0.5 on.
    (finding,) = two.findings
    assert finding.raw_probability == pytest.approx(np.mean(each), abs=2e-6)
    assert finding.positive == (np.mean(each) >= 0.5)
    single = [result.findings[0].raw_probability for result in alone.values()]
    assert sorted(each) == pytest.approx(sorted(p for p in single if min(abs(p - e) for e in each) < 1e-5), abs=2e-6)


def test_a_broken_picture_stays_a_study_of_its_own(mura: Path) -> None:
    task = load_task("bone_abnormality", ["pictures=by_folder"])
    with open_inputs([mura]) as inventory:
        gathered = task.gather(inventory.studies)
    assert [study.uid for study in gathered if study.refusal is not None] == ["broken"]
