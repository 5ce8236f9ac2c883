"""Folds that answer together: the mean of their logits, one name, one hash."""

from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.errors import WeightsError
from networks.build import build
from networks.configs import UNetConfig
from pipelines.ensemble import member_files
from pipelines.examination import Compute
from pipelines.loaded_network import load_network
from pipelines.model_store import Card, save_weights

CONFIG = UNetConfig(in_channels=1, out_channels=2, features=(4, 8), normalisation="batch")


def fold(folder: Path, number: int) -> Path:
    path = folder / f"fold-{number}" / "weights.safetensors"
    path.parent.mkdir(parents=True)
    card = Card(name="folds", task="t", trained_on="x", limits="none", phantom=False)
    save_weights(build(CONFIG, seed=number), CONFIG, card, path)
    return path


def test_the_mean_of_their_logits(tmp_path: Path) -> None:
    paths = [fold(tmp_path, number) for number in (0, 1, 10, 2)]
    x = torch.randn(2, 1, 8, 8)
    with torch.inference_mode():
        alone = [load_network(CONFIG, str(path), Compute()).network(x).numpy() for path in paths]
        together = load_network(CONFIG, str(tmp_path), Compute())
        np.testing.assert_allclose(together.network(x).numpy(), np.mean(alone, axis=0), atol=1e-6)
    assert together.model.name == "folds (4 folds)"
    assert together.card is not None
    assert (
        len(
            {
                together.model.weights_sha256,
                *(load_network(CONFIG, str(p), Compute()).model.weights_sha256 for p in paths),
            }
        )
        == 5
    )
    assert [path.parent.name for path in member_files(tmp_path)] == ["fold-0", "fold-1", "fold-2", "fold-10"]


def test_a_folder_without_folds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fold-x").mkdir()
    with pytest.raises(WeightsError, match="fold-0"):
        load_network(CONFIG, str(tmp_path), Compute())
