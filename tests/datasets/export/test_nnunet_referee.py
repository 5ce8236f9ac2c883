"""nnU-Net itself judges what is written for it, in an environment of its own: its dependencies are not ours."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from datasets.example import Dataset, Example, MaskTruth
from datasets.export import nnunet
from datasets.image import Image, Intensity
from datasets.study import Loaded, Series, Study
from tests.datasets.export.liver_set import liver_set

VERSION = "nnunetv2==2.8.1"
LONGEST_S = 3600.0
CHECK = """
import sys
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
if __name__ == "__main__":
    verify_dataset_integrity(sys.argv[1], num_processes=1)
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def nnunet_python(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The Python of an environment with nnU-Net."""
    if stated := os.environ.get("DENSELENS_NNUNET_PYTHON"):
        return Path(stated)
    folder = tmp_path_factory.mktemp("nnunet") / "env"
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "-c", str(repository / "constraints.txt"), VERSION]
    for command in ([sys.executable, "-m", "venv", str(folder)], install):
        # In an empty folder: pip may leave files behind in the one it is called from.
        try:
            subprocess.run(command, capture_output=True, text=True, cwd=folder.parent, timeout=LONGEST_S, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"no environment with {VERSION} can be had: {type(error).__name__}, {str(error.stderr)[-300:]}")
    return python


def verdict(python: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder.parent / "check.py"
    script.write_text(CHECK)
    roots = dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), str(folder.parent))
    command = [str(python), str(script), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **roots}, cwd=folder.parent)


def assert_accepted(python: Path, folder: Path) -> None:
    result = verdict(python, folder)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert "verify_dataset_integrity Done" in said
    assert "error" not in said.lower().replace("if you didn't see any error messages", "")


def test_volumes_are_accepted_and_a_spoilt_one_is_not(nnunet_python: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Dataset003_Liver"
    nnunet.write(liver_set(), folder)
    assert_accepted(nnunet_python, folder)
    file = folder / "labelsTr" / "liver_003.nii.gz"
    labels = nib.load(file)
    nib.save(nib.Nifti1Image(np.asarray(labels.dataobj)[:-1], labels.affine), file)
    assert verdict(nnunet_python, folder).returncode != 0


def test_several_channels_are_accepted(nnunet_python: Path, tmp_path: Path) -> None:
    original = liver_set()
    twice = [
        replace(e, study=replace(e.study, series=(_named(e, "first"), _named(e, "second")))) for e in original.examples
    ]
    nnunet.write(replace(original, examples=tuple(twice)), tmp_path / "Dataset004_Two")
    assert_accepted(nnunet_python, tmp_path / "Dataset004_Two")


def _named(example: Example, name: str) -> Series:
    return replace(example.study.series[0], modality="", name=name)


@pytest.mark.parametrize("colours", [1, 3])
def test_pictures_are_accepted(nnunet_python: Path, tmp_path: Path, colours: int) -> None:
    rng = np.random.default_rng(5)
    examples = []
    for number in range(2):
        picture = rng.integers(0, 255, (colours, 40, 30, 1)).astype(np.uint8)
        mask = Image((picture[:1] > 128).astype(np.uint8), Intensity.LABEL)
        kind = Intensity.GREY if colours == 1 else Intensity.COLOUR
        series = Series("p", "", "PNG", 1, None, (), None, partial(Loaded, Image(picture, kind)))
        truth = MaskTruth(partial(_same, mask), {1: "bright"})
        examples.append(Example(Study(f"picture_{number}", "memory", (series,)), truth, str(number)))
    folder = tmp_path / "Dataset005_Pictures"
    nnunet.write(Dataset("Pictures", "memory", tuple(examples), ("bright",)), folder)
    assert_accepted(nnunet_python, folder)


def _same(image: Image) -> Image:
    return image
