"""Reading DICOM files in tests: the one series they hold, what was repaired, or why it was refused."""

from pathlib import Path

import pytest

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.dicom import read_studies
from datasets.study import Loaded, Series


def only_series(files: list[Path]) -> Series:
    (study,) = read_studies(files, "folder").studies
    (found,) = study.series
    return found


def codes(found: Series | Loaded) -> list[str]:
    return [repair.code for repair in found.repairs]


def refusal(files: list[Path]) -> RefusalCode:
    with pytest.raises(InputRefused) as refused:
        only_series(files).load()
    return refused.value.code
