"""Labels decided slab by slab."""

import pytest
import torch
from torch import Tensor

from datasets.errors import ConfigError
from pipelines.slabs import Slab, SliceReservoir, decide_labels, label_map, largest_logit, softmax


def _slabs(logits: Tensor, depth: int) -> list[Slab]:
    return [
        Slab(at, at + part.shape[1], part)
        for at, part in zip(range(0, 99, depth), logits.split(depth, 1), strict=False)
    ]


def test_labels_and_probabilities_slab_by_slab() -> None:
    logits = torch.randn((4, 20, 16, 12), generator=torch.Generator().manual_seed(1))
    slabs = list(decide_labels(_slabs(logits, 8), probabilities=softmax))
    assert [(slab.start, slab.stop) for slab in slabs] == [(0, 8), (8, 16), (16, 20)]
    assert torch.equal(label_map(slabs, (20, 16, 12)).long(), logits.argmax(0))
    kept = [slab.probabilities for slab in slabs if slab.probabilities is not None]
    assert torch.allclose(torch.cat(kept, dim=1), logits.softmax(0), atol=1e-6)


def test_the_caller_may_decide_otherwise() -> None:
    # Neither class 1 nor 2 beats class 0 alone, together they do: a liver whose tumour is uncertain.
    logits = torch.tensor([0.4, 0.35, 0.25]).log().reshape(3, 1, 1, 1).expand(3, 4, 4, 4)

    def liver(values: Tensor) -> Tensor:
        probability = softmax(values)
        return probability[1] + probability[2] > 0.5

    assert label_map(decide_labels(_slabs(logits, 2), liver), (4, 4, 4)).all()
    assert not label_map(decide_labels(_slabs(logits, 2)), (4, 4, 4)).any()


def test_of_equal_logits_the_first_wins() -> None:
    logits = torch.tensor([[1.0, 0.0, 0.0, 2.0], [1.0, 3.0, 1.0, 0.0], [1.0, 3.0, 2.0, 2.0]]).reshape(3, 4, 1, 1)
    assert largest_logit(logits).flatten().tolist() == [0, 1, 2, 0]
    assert largest_logit(torch.ones(1, 2, 2, 2)).sum() == 0


def test_a_rule_that_keeps_the_class_axis_is_refused() -> None:
    with pytest.raises(ConfigError, match="one label per voxel"):
        list(decide_labels(_slabs(torch.zeros(2, 4, 4, 4), 2), lambda logits: logits))


def test_a_reservoir_gives_any_slices_that_are_not_yet_forgotten() -> None:
    logits = torch.randn((2, 20, 3, 3), generator=torch.Generator().manual_seed(2))
    source = SliceReservoir(_slabs(logits, 3), (20, 3, 3))
    for low, high in ((0, 1), (0, 7), (5, 8), (6, 8), (11, 20)):
        assert torch.equal(source.slices(low, high), logits[:, low:high])


def test_a_stream_with_a_gap_or_too_few_slices_is_refused() -> None:
    slabs = _slabs(torch.zeros(2, 9, 3, 3), 3)
    for broken in (slabs[:2], [slabs[0], slabs[2]], [slabs[1]]):
        with pytest.raises(ConfigError, match="in order"):
            SliceReservoir(broken, (9, 3, 3)).slices(0, 9)
    with pytest.raises(ConfigError, match="slabs of a grid"):
        SliceReservoir(slabs, (9, 4, 3)).slices(0, 9)
