"""Pictures of a look show truth and answer where they are."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow

from pipelines.training.picture import Captions, write_picture

ORANGE, BLUE, GREY = (230, 159, 0), (86, 180, 233), (150, 150, 150)


def painted(path: Path, colour: tuple[int, int, int]) -> np.ndarray:
    return (np.asarray(Pillow.open(path)) == colour).all(axis=-1)


def test_outlines_lie_where_labels_do(tmp_path: Path) -> None:
    inputs = torch.rand(2, 1, 96, 96)
    wanted = torch.zeros(2, 96, 96, dtype=torch.int64)
    wanted[:, 24:48, 48:72] = 1
    said = torch.nn.functional.one_hot(wanted.roll(24, dims=1), 2).permute(0, 3, 1, 2).float()
    write_picture((inputs, wanted), said, tmp_path / "a" / "look.png", Captions())
    drawn = painted(tmp_path / "a" / "look.png", BLUE)
    assert drawn.shape == (2 * 192 + 4, 3 * 192)
    assert not drawn[:, :192].any()
    for column, top in ((1, 48), (2, 96)):  # The pictures are twice as large.
        rows, columns = np.nonzero(drawn[:192, column * 192 : (column + 1) * 192])
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (top, top + 47, 96, 143)


def test_bars_are_as_long_as_probabilities(tmp_path: Path) -> None:
    logits = torch.tensor([[0.0, np.log(3.0), 5.0]])
    wanted = torch.tensor([[1.0, 0.0, np.nan]])
    captions = Captions(("a", "b", "c"), independent=True)
    write_picture((torch.rand(1, 1, 32, 32), wanted), logits, tmp_path / "x.png", captions)
    for colour, share in ((ORANGE, 0.5), (BLUE, 0.75), (GREY, 1 / (1 + np.exp(-5.0)))):
        columns = np.nonzero(painted(tmp_path / "x.png", colour)[:, 192:].any(axis=0))[0]
        assert columns.min() == 0
        assert abs(columns.max() - share * 192) <= 1
