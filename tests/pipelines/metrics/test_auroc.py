"""AUROC against its definition, pair by pair, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipelines.metrics.auroc import auroc, findings_auroc


def test_by_hand() -> None:
    # Pairs of a case with and one without: 0.8 wins both, 0.4 ties with 0.4 and wins against 0.1.
    scores, truths = np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True])
    assert auroc(scores, truths) == pytest.approx((1 + 1 + 0.5 + 1) / 4)


def test_perfect_reversed_and_chance() -> None:
    truths = np.arange(10) >= 6
    assert auroc(np.arange(10.0), truths) == 1.0
    assert auroc(-np.arange(10.0), truths) == 0.0
    assert auroc(np.ones(10), truths) == 0.5


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_is_what_scikit_learn_says_with_and_without_ties(seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    truths = rng.random(997) < rng.uniform(0.02, 0.9)
    scores = np.round(rng.normal(truths * 0.8, 1.0), decimals)
    assert auroc(scores, truths) == pytest.approx(roc_auc_score(truths, scores), abs=1e-9)


def test_single_precision_loses_nothing_on_many_cases() -> None:
    rng = np.random.default_rng(3)
    truths = rng.random(200_000) < 0.5
    scores = rng.normal(truths * 0.5, 1.0).astype(np.float32)
    assert auroc(scores, truths) == pytest.approx(roc_auc_score(truths, scores), abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30))
def test_is_the_share_of_pairs_in_order(cases: list[tuple[int, bool]]) -> None:
    scores, truths = np.array([float(score) for score, _ in cases]), np.array([truth for _, truth in cases])
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[truths] for n in scores[~truths]]
    figure = auroc(scores, truths)
    assert figure is None if not pairs else figure == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("truths", [np.zeros(4, bool), np.ones(4, bool), np.zeros(0, bool)])
def test_is_undefined_with_one_class(truths: np.ndarray) -> None:
    assert auroc(np.zeros(truths.shape), truths) is None


def test_mean_leaves_out_what_is_undefined_and_names_it() -> None:
    scores = np.array([[0.1, 0.9, 0.3], [0.9, 0.1, 0.3]])
    truths = np.array([[False, False, False], [True, True, False]])
    found = findings_auroc(scores, truths, ("Mass", "Edema", "Hernia"))
    assert found.by_finding == {"Mass": 1.0, "Edema": 0.0, "Hernia": None}
    assert found.mean == 0.5
    assert found.undefined == ("Hernia",)


def test_nothing_is_defined_without_cases() -> None:
    found = findings_auroc(np.zeros((0, 2)), np.zeros((0, 2), bool), ("Mass", "Edema"))
    assert found.mean is None
    assert found.undefined == ("Mass", "Edema")


@pytest.mark.parametrize(
    ("scores", "truths", "told"),
    [
        (np.zeros(3), np.zeros(4, bool), r"got \(3,\) and \(4,\)"),
        (np.zeros((3, 1)), np.zeros((3, 1), bool), r"got \(3, 1\) and \(3, 1\)"),
        (np.array([0.0, np.nan]), np.array([True, False]), "got 1 that are not a number"),
        (np.zeros(2), np.array([0, 1]), "got int64"),
    ],
)
def test_what_is_no_scores_and_truths_is_refused(scores: np.ndarray, truths: np.ndarray, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        auroc(scores, truths)


def test_findings_need_a_column_each() -> None:
    with pytest.raises(ValueError, match=r"expected scores and truths \(N, 2\)"):
        findings_auroc(np.zeros((4, 3)), np.zeros((4, 3), bool), ("Mass", "Edema"))
