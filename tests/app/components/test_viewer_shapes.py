"""Which voxels the drawing tools mean, against formulas and brute force; and what undo remembers."""

import numpy as np
import pytest
from scipy import ndimage

from tests.app.components.drawing import SHAPE, SPACING, brute_distance, near
from tests.app.components.viewer_page import ViewerPage


def test_the_way_of_the_brush_is_exact(shown: ViewerPage) -> None:
    ends, radius = [[7.3, 5.1], [30.9, 22.4]], 4.2
    source = "(() => { const found = []; m.sweep(...x, (u, v) => found.push([v, u])); return found; })()"
    found = shown.module("shapes", source, [*ends, radius, list(SPACING[:2]), list(SHAPE[:2])])
    assert sorted(map(tuple, found)) == sorted(map(tuple, np.argwhere(near((1, 0), ends, radius)).tolist()))


def test_forgetting_keeps_the_memory_bounded(shown: ViewerPage) -> None:
    source = """(() => {
      const history = new m.History(1000);
      const labels = new Uint8Array(4096);
      for (let stroke = 1; stroke <= 60; stroke++) {
        const kept = new Map([[0, labels.slice()]]);
        labels.fill(stroke, stroke, stroke + 20);
        history.push(m.difference(labels, kept, {}));
      }
      const strokes = history.done.length;
      while (history.undo((index, label) => (labels[index] = label)));
      return [strokes, history.bytes, labels[60 - strokes + 19], labels[61]];
    })()"""
    strokes, size, kept, gone = shown.module("history", source)
    # 20 voxels in a run: 8 bytes and twice 20. What was forgotten stays as it was drawn.
    assert (strokes, size) == (1000 // 48, 1000 // 48 * 48)
    assert (kept, gone) == (60 - strokes, 0)


@pytest.mark.parametrize("seed", range(4))
def test_signed_distances_are_exact(shown: ViewerPage, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.normal(size=(17, 23)), seed) > 0
    steps = (0.7, 1.9)
    found = shown.module(
        "shapes",
        "[...m.signedDistance(Uint8Array.from(x[0]), [23, 17], x[1])]",
        [mask.ravel().astype(int).tolist(), steps],
    )
    assert np.reshape(found, mask.shape) == pytest.approx(brute_distance(mask, steps), abs=1e-9)
