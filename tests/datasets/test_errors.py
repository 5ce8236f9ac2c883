"""Errors say what was expected, what came and what to do, and survive the way from a worker process."""

import copy

import pytest

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, DenseLensError, InputRefused, WeightsError


@pytest.mark.parametrize("kind", [DenseLensError, ConfigError, WeightsError])
def test_three_parts_in_one_line(kind: type[DenseLensError]) -> None:
    error = kind("a volume", "a text file", "give a volume")
    assert str(error) == "expected a volume; got a text file; give a volume"
    assert error.message == "expected a volume; got a text file"
    assert error.advice == "give a volume"


def test_a_refusal_keeps_its_code_across_processes() -> None:
    refusal = InputRefused(RefusalCode.MISSING_SLICE, "a slice every 2 mm", "a gap of 4 mm", "export again")
    # Copying goes through the protocol by which a process pool sends a worker's exception.
    back = copy.copy(refusal)
    assert back is not refusal
    assert (back.code, str(back)) == (refusal.code, str(refusal))


def test_doors_can_catch_all_of_them_at_once() -> None:
    assert all(issubclass(kind, DenseLensError) for kind in (InputRefused, ConfigError, WeightsError))
