"""Fields of a slide known by formula: what is shown lies where it is said to lie, and is what the network saw."""

import numpy as np
import pytest
import torch

from pipelines.examination import Examination, Field
from pipelines.tensors import as_tensor
from tests.pipelines.slide_scene import SCENE, TUMOR, FormulaSlide, examine, slide_study, tumor_in_the_middle

MPP, PATCH_PX = 0.97, 96


@pytest.fixture(scope="module")
def said() -> Examination:
    return examine(slide_study(FormulaSlide(mpp=0.5)))


def fields_of(said: Examination) -> list[Field]:
    fields = [seen for seen in said.seen if isinstance(seen, Field)]
    assert len(fields) == len(said.seen)
    return fields


def test_a_field_shows_the_place_it_names(said: Examination) -> None:
    fields = fields_of(said)
    assert [field.number for field in fields] == [1, 2]
    for field, tumor in zip(fields, SCENE.tumors, strict=True):
        assert field.at_um is not None
        assert field.mpp == MPP
        pixels = field.image.slices()[0] if field.image.channels == 1 else field.image.array[..., 0].transpose(2, 1, 0)
        rows, columns = pixels.shape[:2]
        x = field.at_um[0] + (np.arange(columns) + 0.5) * MPP
        y = field.at_um[1] + (np.arange(rows) + 0.5) * MPP
        inside = tumor.contains(*np.meshgrid(x, y))
        purple = np.abs(pixels.astype(int) - TUMOR).max(axis=-1) < 10
        # All but the pixels that the tumour's edge runs through.
        assert (inside == purple).mean() > 0.98
        assert inside.mean() > 0.2


def test_the_patch_in_the_middle_is_what_the_finding_rests_on(said: Examination) -> None:
    for field, finding in zip(fields_of(said), said.findings, strict=True):
        pixels = as_tensor(field.prepared)[:, 0]
        top, left = field.corners[len(field.corners) // 2]
        patch = pixels[None, :, top : top + PATCH_PX, left : left + PATCH_PX]
        assert patch.shape[2:] == (PATCH_PX, PATCH_PX)
        assert torch.sigmoid(tumor_in_the_middle(patch)).item() == pytest.approx(finding.raw_probability, abs=1e-4)


def test_patches_fill_their_field(said: Examination) -> None:
    for field in fields_of(said):
        columns, rows, _ = field.prepared.shape
        seen = np.zeros((rows, columns), dtype=bool)
        for top, left in field.corners:
            assert 0 <= top <= rows - PATCH_PX
            assert 0 <= left <= columns - PATCH_PX
            seen[top : top + PATCH_PX, left : left + PATCH_PX] = True
        assert seen.all()


def test_where_nothing_is_found_the_field_is_about_what_came_nearest() -> None:
    said = examine(slide_study(FormulaSlide(mpp=0.5)), network=lambda x: torch.full((len(x), 1), -4.0))
    (field,) = fields_of(said)
    (finding,) = said.findings
    assert not finding.positive
    assert field.at_um is not None
    edge_um = field.prepared.shape[0] * MPP
    middle = tuple(at + edge_um / 2 for at in field.at_um)
    assert finding.location is not None
    assert middle == pytest.approx(finding.location.centroid_um, abs=1e-6)


def test_a_field_that_cannot_be_read_is_left_out() -> None:
    # The finest level alone has what the first tumour's middle shows.
    broken = {(level, row, column) for level in (0, 1) for row in range(2, 6) for column in range(2, 6)}
    whole = examine(slide_study(FormulaSlide(mpp=0.5)))
    said = examine(slide_study(FormulaSlide(mpp=0.5, broken=broken)))
    assert len(fields_of(said)) <= len(fields_of(whole))
    assert {flag.code for flag in said.flags} >= {"unreadable_tiles"}
