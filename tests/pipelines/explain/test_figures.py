"""The figures of a score card, one by one, by counting and by formula."""

import itertools

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from pipelines.explain.deletion import Plan, area, cell_means, curves, order_of, random_order
from pipelines.explain.localisation import localise
from pipelines.explain.randomisation import layers_from_the_head, randomised
from pipelines.explain.similarity import rank_correlation
from pipelines.explain.targets import ClassLogit
from tests.pipelines.explain.conftest import network_and_inputs


class Lit(nn.Module):
    """Its logits are twice the sum of the first four pixels, and the mean of all."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([2.0 * x.flatten(1)[:, :4].sum(1), x.flatten(1).mean(1)], dim=1)


@pytest.mark.parametrize(("cell", "steps"), [(1, 20), (1, 7), (3, 5), (3, 100)])
def test_areas_are_those_counted_one_pixel_after_the_other(cell: int, steps: int) -> None:
    generator = torch.Generator().manual_seed(1)
    image, empty = torch.rand(2, 5, 7, generator=generator), torch.rand(2, 5, 7, generator=generator)
    heat = torch.randn(5, 7, generator=generator)
    network, target = Lit().eval(), ClassLogit(0)
    (found,) = curves(
        network, image, empty, ([target], 0), [order_of(cell_means(heat[None], cell)[0])], Plan(cell, steps)
    )

    # Cells by their mean, their pixels one by one, and a trapezium for each step, written out.
    cells: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row, column in itertools.product(range(5), range(7)):
        cells.setdefault((row // cell, column // cell), []).append((row, column))
    means = {at: float(torch.stack([heat[pixel] for pixel in of]).mean()) for at, of in cells.items()}
    order = sorted(cells, key=lambda at: -means[at])
    taken = [round(len(order) * step / min(steps, len(order))) for step in range(min(steps, len(order)) + 1)]
    for begin, end, area_found in ((image, empty, found.deletion_auc), (empty, image, found.insertion_auc)):
        curve = []
        for count in taken:
            picture = begin.clone()
            for at in order[:count]:
                for row, column in cells[at]:
                    picture[:, row, column] = end[:, row, column]
            curve.append(float(torch.sigmoid(network(picture[None])[0, 0])))
        expected = sum((a + b) / 2 for a, b in itertools.pairwise(curve)) / (len(curve) - 1)
        assert float(area_found) == pytest.approx(expected, abs=1e-6)


def test_the_best_order_is_best_and_the_worst_is_worst() -> None:
    image, empty = torch.ones(1, 4, 4), -torch.ones(1, 4, 4)
    best = torch.arange(16)
    orders = [best, best.flip(0), *(random_order(16, seed) for seed in range(30))]
    (found,) = curves(Lit().eval(), image, empty, ([ClassLogit(0)], 0), orders, Plan(1, 16))
    assert float(found.deletion_auc[0]) == float(found.deletion_auc.min())
    assert float(found.deletion_auc[1]) == float(found.deletion_auc.max())
    assert float(found.insertion_auc[0]) == float(found.insertion_auc.max())
    assert float(found.insertion_auc[1]) == float(found.insertion_auc.min())


def test_targets_together_are_targets_one_by_one() -> None:
    image, empty = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(2)), torch.zeros(1, 4, 4)
    orders = [random_order(16, 3)]
    targets = [ClassLogit(0), ClassLogit(1)]
    together = curves(Lit().eval(), image, empty, (targets, 0), orders, Plan(1, 4))
    for target, found in zip(targets, together, strict=True):
        (alone,) = curves(Lit().eval(), image, empty, ([target], 0), orders, Plan(1, 4))
        assert torch.equal(found.deletion, alone.deletion)
    assert not torch.equal(together[0].deletion, together[1].deletion)


def test_area_of_a_straight_line_is_its_middle() -> None:
    assert float(area(torch.linspace(1.0, 0.0, 11))) == pytest.approx(0.5)
    assert float(area(torch.tensor([0.0, 1.0, 1.0]))) == pytest.approx(0.75)


def test_means_over_cells_that_are_cut_off() -> None:
    heat = torch.arange(15.0).reshape(1, 3, 5)
    expected = torch.tensor([[[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]]])
    torch.testing.assert_close(cell_means(heat, 2), expected)
    volume = torch.arange(12.0).reshape(1, 3, 2, 2)
    torch.testing.assert_close(cell_means(volume, 2), torch.tensor([[[[3.5]], [[9.5]]]]))


def test_equal_cells_are_taken_in_no_order_of_the_grid() -> None:
    order = order_of(torch.zeros(10, 10))
    assert sorted(order.tolist()) == list(range(100))
    assert abs(spearmanr(order.numpy(), range(100)).statistic) < 0.3
    first = order_of(torch.tensor([[0.0, 5.0], [0.0, 7.0]]))
    assert first[:2].tolist() == [3, 1]


def test_rank_correlation_is_spearmans() -> None:
    generator = torch.Generator().manual_seed(4)
    first = torch.randn(3, 6, 6, generator=generator)
    second = (0.5 * first + torch.randn(3, 6, 6, generator=generator)).round()  # Has equal values.
    expected = [spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(first, second, strict=True)]
    torch.testing.assert_close(rank_correlation(first, second, 1), torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(rank_correlation(first, first.exp(), 1), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(rank_correlation(first, -first, 2), -torch.ones(3, dtype=torch.float64))
    assert rank_correlation(first, torch.zeros_like(first), 1).tolist() == [0.0, 0.0, 0.0]


def test_localisation_is_counted() -> None:
    heat = torch.tensor([[4.0, 1.0, 0.0], [3.0, -2.0, 0.0], [2.0, 0.0, 0.0]])
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[0, :2] = True  # 4 and 1; the two largest are 4 and 3.
    found = localise(heat, mask)
    assert found is not None
    assert found.pointing_game
    assert found.mass_accuracy == pytest.approx(5.0 / 10.0)
    assert found.rank_accuracy == pytest.approx(0.5)
    upside_down = localise(-heat, mask)
    assert upside_down is not None
    assert not upside_down.pointing_game
    assert upside_down.mass_accuracy == 0.0
    nothing = localise(torch.zeros(3, 3), mask)
    assert nothing is not None
    assert nothing.mass_accuracy == 0.0


def test_near_may_be_near_enough() -> None:
    heat, mask = torch.zeros(9, 9), torch.zeros(9, 9, dtype=torch.bool)
    heat[2, 2], mask[5, 6] = 1.0, True  # Three down and four to the right: five away.
    for tolerance, hit in ((4.9, False), (5.0, True)):
        found = localise(heat, mask, tolerance_px=tolerance)
        assert found is not None
        assert found.pointing_game is hit
    heat[4:7, 5:8] = 0.9  # Broad, it outweighs the peak once both are smoothed.
    found = localise(heat, mask, smooth_px=1.5)
    assert found is not None
    assert found.pointing_game


def test_no_mask_no_figures_and_no_guessing() -> None:
    assert localise(torch.zeros(3, 3), torch.zeros(3, 3, dtype=torch.bool)) is None
    with pytest.raises(ValueError, match=r"expected a mask \(3, 3\) like the map, got \(3, 4\)"):
        localise(torch.zeros(3, 3), torch.zeros(3, 4, dtype=torch.bool))


def test_layers_come_from_the_head() -> None:
    network, inputs = network_and_inputs("densenet", images=1)
    layers = layers_from_the_head(network, inputs)
    assert layers[0] == "classifier"
    assert layers[-1] == "features.conv0"
    with_weights = {name for name, part in network.named_modules() if any(True for _ in part.parameters(recurse=False))}
    assert set(layers) == with_weights


def test_randomised_weights_are_the_same_numbers_elsewhere() -> None:
    network, _ = network_and_inputs("densenet", images=1)
    with torch.no_grad():
        network.classifier.bias += torch.arange(4.0)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    copied = randomised(network, ["classifier", "features.norm0"], seed=3)
    after = copied.state_dict()
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved == {"classifier.weight", "classifier.bias", "features.norm0.weight", "features.norm0.bias"}
    for key in moved:
        assert torch.equal(before[key].flatten().sort().values, after[key].flatten().sort().values)
    pairs = [
        set(zip(state["features.norm0.weight"].tolist(), state["features.norm0.bias"].tolist(), strict=True))
        for state in (before, after)
    ]
    assert pairs[0] == pairs[1]
    again = randomised(network, ["classifier", "features.norm0"], seed=3).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in after.items())
