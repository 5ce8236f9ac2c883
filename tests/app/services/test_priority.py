import pytest

from app.services.priority import priority_of
from pipelines.results import Finding, FlagCode, flag


def finding(probability: float | None, *, positive: bool, threshold: float = 0.5) -> Finding:
    return Finding(label="x", probability=probability, threshold=threshold, positive=positive, calibrated=True)


def test_nothing_found_comes_last() -> None:
    assert priority_of([], []) == 0.1
    assert priority_of([finding(0.0, positive=False)], []) == 0.1


def test_by_hand() -> None:
    # Two findings of 0.8 and 0.6: 1 - 0.2 * 0.4 = 0.92; the second lies 0.1 of 0.5 off its threshold: doubt 0.8.
    found = [finding(0.8, positive=True), finding(0.6, positive=True)]
    assert priority_of(found, []) == pytest.approx((0.1 + 0.92) * 1.8)
    warned = [flag(FlagCode.STAIN_NOT_NORMALISED, "warning", "m"), flag(FlagCode.STAIN_NOT_NORMALISED, "info", "m")]
    assert priority_of(found, warned) == pytest.approx((0.1 + 0.92) * 1.8 * 1.25, abs=1e-4)


def test_a_finding_without_probability_is_sure() -> None:
    assert priority_of([finding(None, positive=True)], []) == pytest.approx(1.1)


def test_on_the_threshold_is_before_the_sure_negative() -> None:
    near = priority_of([finding(0.499, positive=False)], [])
    assert near == pytest.approx(0.2, abs=1e-3)
    assert near > priority_of([finding(0.01, positive=False)], [])


def test_thresholds_at_the_ends() -> None:
    assert priority_of([finding(1.0, positive=True, threshold=1.0)], []) == pytest.approx(2.2)
    assert priority_of([finding(0.0, positive=True, threshold=0.0)], []) > 0.0
