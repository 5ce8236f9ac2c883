"""The images that a result is about, opened again from where they were scored."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.discover import open_inputs
from datasets.study import Series, Study
from pipelines.results import Result


@contextmanager
def opened_source(result: Result) -> Iterator[Series]:
    """The series that was scored; of several the first.

    Args:
        result: As `read_result` gives it.

    Yields:
        The series. Pixels must be loaded before the block ends: archives stay unpacked for its length.

    Raises:
        InputRefused: `unreadable_file`: what was scored is gone, or something else lies in its place; and what reading
            it raises.
    """
    with _opened(result) as studies:
        yield _series_of(result, studies, result.study.series_uid)


@contextmanager
def opened_sources(result: Result) -> Iterator[tuple[Series, ...]]:
    """Every series that a result's findings rest on: the films that were used, or the one series that was scored.

    Args:
        result: As `read_result` gives it.

    Yields:
        The series in the order of the result's views; for the length of the block, as `opened_source`.

    Raises:
        InputRefused: As `opened_source`.
    """
    with _opened(result) as studies:
        used = [view.source for view in result.views if view.used]
        yield tuple(
            _series_of(result, studies, uid)
            for told in used or [result.study.series_uid]
            for uid in _names_in(told, studies)
        )


@contextmanager
def _opened(result: Result) -> Iterator[tuple[Study, ...]]:
    path = _place(result)
    if path is None:
        raise _gone(result, "nothing of that path")
    with open_inputs([path]) as inventory:
        yield inventory.studies


def _place(result: Result) -> Path | None:
    told = Path(result.study.source)
    if result.study.source and told.exists():
        return told
    if result.views and told.parent.is_dir() and told.parent not in (Path(), Path(told.anchor)):
        # Several files that were put together have the name of their folder, and one of their own behind it.
        return told.parent
    # A member of an archive has a name that goes on where the archive's ends.
    return next((path for path in told.parents if path.is_file()), None)


def _names_in(told: str, studies: Sequence[Study]) -> list[str]:
    """What a view says it was made from: one series, or several that one network saw together."""
    known = {series.uid for study in studies for series in study.series}
    return [told] if told in known or not set(told.split()) <= known else told.split()


def _series_of(result: Result, studies: Sequence[Study], uid: str) -> Series:
    # Opened alone a study may have a plainer name than beside others, and one that was put together has none: the
    # series tells what it is, where only one has its name.
    same_study = [study for study in studies if study.uid == result.study.uid]
    same_source = [study for study in studies if study.source == result.study.source]
    for among in (same_study, same_source, studies):
        found = [series for study in among for series in study.series if series.uid == uid]
        if len(found) == 1:
            return found[0]
    raise _gone(result, "no series of that identifier, or several")


def _gone(result: Result, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNREADABLE_FILE,
        f"the images that were scored, at {result.study.source}",
        got,
        "put them back where they were, or score the study again from where they are",
    )
