"""Which series of a study is scored: by rule, and told."""

import itertools
import pickle

import numpy as np
import pytest

from datasets.codes import RefusalCode, RepairCode
from datasets.errors import InputRefused
from datasets.geometry import Grid, grid_from_axes
from datasets.image import Image, Intensity
from datasets.study import Loaded, Series, Study, choose_series

AXIAL = np.eye(3)
# Columns grow to the left and rows downwards: slices go from back to front.
CORONAL = np.array([(1, 0, 0), (0, 0, 1), (0, -1, 0)], dtype=float)


def _pixels() -> Loaded:
    return Loaded(Image(np.zeros((1, 2, 2, 2)), Intensity.HOUNSFIELD))


def _refusal(code: RefusalCode) -> InputRefused:
    return InputRefused(code, "a whole series", "a hole in it", "export it again")


def _grid(images: int, spacing_mm: float = 1.0, direction: np.ndarray = AXIAL) -> Grid:
    return grid_from_axes((8, 8, images), (spacing_mm, spacing_mm, spacing_mm), direction)


def _series(
    uid: str, grid: Grid | None, *, images: int = 0, modality: str = "CT", refusal: InputRefused | None = None
) -> Series:
    return Series(uid, modality, "", images or (grid.shape[2] if grid else 0), grid, (), refusal, _pixels)


def _study(*series: Series, refusal: InputRefused | None = None) -> Study:
    return Study("1.2.3", "folder", series, (), refusal)


def test_the_only_series_needs_no_telling() -> None:
    only = _series("a", _grid(20))
    assert choose_series(_study(only), ("CT",)) == (only, None)


@pytest.mark.parametrize(
    ("best", "others"),
    [
        pytest.param(_series("a", _grid(20)), [_series("b", _grid(10)), _series("c", _grid(19))], id="most images"),
        pytest.param(_series("a", _grid(20)), [_series("b", _grid(20, direction=CORONAL))], id="axial before coronal"),
        pytest.param(_series("a", _grid(20, 2.0)), [_series("b", _grid(20, 1.0))], id="the larger box"),
        pytest.param(_series("a", _grid(20)), [_series("b", _grid(20))], id="the first uid"),
        pytest.param(_series("a", _grid(5)), [_series("b", _grid(90), modality="MR")], id="the wanted modality"),
        pytest.param(
            _series("a", _grid(5), modality=""), [_series("b", _grid(90), modality="MR")], id="untold modality"
        ),
        pytest.param(
            _series("a", _grid(5)),
            [_series("b", _grid(90), refusal=_refusal(RefusalCode.MISSING_SLICE))],
            id="a usable one before a larger refused one",
        ),
        pytest.param(_series("a", _grid(5)), [_series("b", None, images=5)], id="a known grid"),
    ],
)
def test_the_rule_whatever_the_order(best: Series, others: list[Series]) -> None:
    for order in itertools.permutations([best, *others]):
        chosen, told = choose_series(_study(*order), ("CT",))
        assert chosen is best
        wanted = [series for series in others if series.modality in ("CT", "")]
        if not wanted:
            assert told is None
            continue
        assert told is not None
        assert told.code is RepairCode.SERIES_CHOSEN
        assert all(series.uid in told.message for series in [best, *wanted])
    assert ("refused" in (told.message if told else "")) == any(series.refusal for series in others)


def test_any_modality_will_do_where_none_is_asked_for() -> None:
    large = _series("b", _grid(90), modality="MR")
    assert choose_series(_study(_series("a", _grid(5)), large), ())[0] is large


def test_nothing_of_the_wanted_modality() -> None:
    with pytest.raises(InputRefused, match=r"CT or PT.*MR, unknown") as refused:
        choose_series(_study(_series("a", None, modality="MR"), _series("b", None, modality="unknown")), ("CT", "PT"))
    assert refused.value.code is RefusalCode.WRONG_MODALITY
    with pytest.raises(InputRefused, match="nothing") as refused:
        choose_series(_study(), ("CT",))
    assert refused.value.code is RefusalCode.WRONG_MODALITY


def test_a_study_refused_as_a_whole_stays_refused() -> None:
    with pytest.raises(InputRefused) as refused:
        choose_series(_study(_series("a", _grid(5)), refusal=_refusal(RefusalCode.EMPTY_INPUT)), ("CT",))
    assert refused.value.code is RefusalCode.EMPTY_INPUT


def test_the_refusal_of_the_largest_series_is_told() -> None:
    small = _series("a", None, images=3, refusal=_refusal(RefusalCode.MISSING_ORIENTATION))
    large = _series("b", None, images=30, refusal=_refusal(RefusalCode.MISSING_SLICE))
    for order in ((small, large), (large, small)):
        with pytest.raises(InputRefused) as refused:
            choose_series(_study(*order), ("CT",))
        assert refused.value.code is RefusalCode.MISSING_SLICE


@pytest.mark.parametrize(("images", "code"), [(1, RefusalCode.SINGLE_SLICE), (3, RefusalCode.EMPTY_IMAGE)])
def test_too_few_images(images: int, code: RefusalCode) -> None:
    with pytest.raises(InputRefused, match="at least 8") as refused:
        choose_series(_study(_series("a", _grid(images))), ("CT",), min_images=8)
    assert refused.value.code is code


def test_too_few_images_are_passed_over() -> None:
    long = _series("a", _grid(8))
    assert choose_series(_study(_series("b", _grid(7)), long), ("CT",), min_images=8)[0] is long


def test_a_refused_series_has_no_pixels() -> None:
    assert _series("a", _grid(2)).load().image.shape == (2, 2, 2)
    with pytest.raises(InputRefused, match="export it again"):
        _series("a", None, refusal=_refusal(RefusalCode.NO_SPACING)).load()


def test_refusals_cross_process_borders() -> None:
    sent = pickle.loads(pickle.dumps(_refusal(RefusalCode.NO_SPACING)))  # noqa: S301 - our own bytes
    assert (sent.code, str(sent)) == (
        RefusalCode.NO_SPACING,
        "expected a whole series; got a hole in it; export it again",
    )
