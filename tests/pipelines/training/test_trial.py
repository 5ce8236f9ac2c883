from pathlib import Path

import pytest

from datasets.example import ClassTruth, Example
from datasets.study import Study
from pipelines.training.trial import of_every_size


def example(folder: Path, name: str, size_bytes: int) -> Example:
    (folder / name).write_bytes(bytes(size_bytes))
    return Example(Study(name, str(folder / name), ()), ClassTruth(0, ("a", "b")), name)


def test_the_mean_size_of_those_that_are_tried_is_that_of_all(tmp_path: Path) -> None:
    # Named against the order of their sizes, and a few much larger than the rest, as pictures of a set are.
    sizes = [100 * rank for rank in range(1, 97)] + [40_000] * 16
    examples = [example(tmp_path, f"{999 - rank:03}", size) for rank, size in enumerate(sizes)]
    tried = [Path(one.study.source).stat().st_size for one in of_every_size(examples)]
    assert len(tried) == 8
    assert sum(tried) / len(tried) == pytest.approx(sum(sizes) / len(sizes), rel=0.15)
    assert max(tried) == 40_000


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9])
def test_few_examples_are_tried_once_each(tmp_path: Path, count: int) -> None:
    examples = [example(tmp_path, str(rank), rank) for rank in range(count)]
    tried = of_every_size(examples)
    assert len({one.name for one in tried}) == len(tried) == min(count, 8)


def test_what_stands_in_no_single_file_is_tried_too(tmp_path: Path) -> None:
    folders = [Example(Study(str(n), str(tmp_path), ()), ClassTruth(0, ("a", "b")), str(n)) for n in range(20)]
    assert len(of_every_size(folders)) == 8
