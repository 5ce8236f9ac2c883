"""Instances and lesions as panoptica 2.1.7 counts them.

It wants other versions of our dependencies, so it runs in an environment of its own: the interpreter that
DENSELENS_PANOPTICA_PYTHON names, or one that is made for the test.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipelines.metrics.dice import dice
from pipelines.metrics.iou import iou
from pipelines.metrics.lesion_detection import find_lesions
from pipelines.metrics.panoptic import panoptic_quality
from pipelines.regions import components_by_size

_SCRIPT = Path(__file__).with_name("panoptica_figures.py")
_PAIRS = 12
_WAIT_S = 900


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has panoptica."""
    named = os.environ.get("DENSELENS_PANOPTICA_PYTHON")
    if named:
        return Path(named)
    folder = tmp_path_factory.mktemp("panoptica")
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    try:
        wanted = [str(python), "-m", "pip", "install", "--quiet", "panoptica==2.1.7"]
        subprocess.run(wanted, check=True, capture_output=True, timeout=_WAIT_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"panoptica cannot be installed here ({type(error).__name__}): set DENSELENS_PANOPTICA_PYTHON")
    return python


def _maps(seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Blobs, and the same disturbed; numbered one by one."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(size=(32, 28, 20)), 1.6)
    other = field + 0.6 * gaussian_filter(rng.normal(size=field.shape), 1.6)
    first, second = (components_by_size(one > 0.12)[0] for one in (other, field))
    return first, second


@pytest.mark.slow
def test_figures_are_panopticas(interpreter: Path, tmp_path: Path) -> None:
    pairs = [_maps(seed) for seed in range(_PAIRS)]
    arrays = {f"prediction_{n}": pair[0] for n, pair in enumerate(pairs)}
    arrays |= {f"reference_{n}": pair[1] for n, pair in enumerate(pairs)}
    np.savez(tmp_path / "maps.npz", **arrays)
    done = subprocess.run(
        [str(interpreter), str(_SCRIPT), str(tmp_path / "maps.npz")],
        check=False,
        capture_output=True,
        text=True,
        timeout=_WAIT_S,
        env=os.environ | {"PANOPTICA_CITATION_REMINDER": "false"},
    )
    assert done.returncode == 0, done.stderr
    theirs: list[dict[str, Any]] = json.loads(done.stdout[done.stdout.index("[{") :])
    assert len(theirs) == _PAIRS
    for (prediction, reference), told in zip(pairs, theirs, strict=True):
        ours = panoptic_quality(prediction, reference)
        assert ours.matched > 0
        for figures in told.values():
            assert (ours.matched, ours.invented, ours.missed) == (figures["tp"], figures["fp"], figures["fn"])
            assert ours.quality == pytest.approx(figures["pq"], abs=1e-6)
            assert ours.segmentation == pytest.approx(figures["sq"], abs=1e-6)
            assert ours.recognition == pytest.approx(figures["rq"], abs=1e-6)
            assert dice(prediction > 0, reference > 0) == pytest.approx(figures["global_bin_dsc"], abs=1e-6)
            assert iou(prediction > 0, reference > 0) == pytest.approx(figures["global_bin_iou"], abs=1e-6)
        lesions = find_lesions(prediction > 0, reference > 0).counts("iou")
        assert (lesions.found, lesions.predicted - lesions.right) == (ours.matched, ours.invented)
        assert lesions.f1 == pytest.approx(ours.recognition)
