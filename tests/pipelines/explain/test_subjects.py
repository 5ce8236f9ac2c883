"""Where maps of parts lie: by coordinates that say it themselves."""

import numpy as np
import pytest
import torch

from datasets.geometry import Grid
from datasets.image import Image, Intensity
from pipelines.examination import Examination, Field, Seen
from pipelines.explain.grad_cam import GradCam
from pipelines.explain.subject import Patches
from pipelines.explain.subjects import subjects_of
from pipelines.explain.targets import ClassLogit
from pipelines.explain.wanted import Wanted
from pipelines.task import load_task
from tests.pipelines.explain.conftest import NETWORKS, network_and_inputs

WANTED = Wanted(methods=("grad_cam",), budget="none")


def test_overlapping_patches_lie_where_they_belong() -> None:
    rows, columns, edge = 20, 26, 8
    places = torch.arange(rows * columns, dtype=torch.float32).reshape(rows, columns)
    corners = ((0, 0), (0, 4), (3, 4), (12, 18))
    picture = Image(np.zeros((3, columns, rows, 1), np.float32), Intensity.COLOUR)
    field = Field(picture, picture, patch_px=edge, corners=corners)
    maps = torch.stack([places[top : top + edge, left : left + edge] for top, left in corners])
    (lifted,) = Patches(field, torch.zeros(4, 3, edge, edge), (ClassLogit(0),), corners=corners).lifted(maps)
    seen = torch.zeros(rows, columns, dtype=torch.bool)
    for top, left in corners:
        seen[top : top + edge, left : left + edge] = True
    # Where several say the same, so does their mean; elsewhere nothing was said.
    torch.testing.assert_close(lifted, torch.where(seen, places, 0.0))


@pytest.mark.parametrize("extent", [10, 40])
def test_a_lesion_is_explained_by_the_hybrid_network_in_a_window_of_few_slices(extent: int) -> None:
    config, _ = NETWORKS["h_dense_unet"]
    network, _ = network_and_inputs("h_dense_unet", images=1)
    task = load_task("liver_ct_h_dense_unet").model_copy(update={"network": config})
    grid = Grid((48, 40, extent), np.diag([2.0, 2.0, 3.0, 1.0]))
    noise = np.random.default_rng(0).normal(size=(1, 48, 40, extent)).astype(np.float32)
    prepared = Image(noise, Intensity.GREY, grid.affine)
    labels = np.zeros((1, 48, 40, extent), np.uint8)
    labels[0, 20:26, 15:22, 4:7] = 2
    said = Examination(labels=Image(labels, Intensity.LABEL, grid.affine), seen=(Seen(prepared, prepared),))
    (subject,) = subjects_of(task, said, WANTED)
    assert subject.inputs.shape[2] == min(extent, 16)
    (heat,) = GradCam().explain(network.float(), subject.inputs, subject.targets)
    lifted = subject.lifted(heat)
    assert lifted.shape == (extent, 40, 48)
    assert torch.isfinite(lifted).all()
    shown = torch.nonzero(lifted.flatten(1).abs().sum(dim=1)).flatten()
    assert shown.numel()
    # The window holds the lesion, slices 4 to 6.
    assert shown.min() <= 6
    assert shown.max() < 4 + 16
