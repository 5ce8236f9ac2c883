"""`audit`: every case is read once, by several processes where asked; then the checks look at what was noted."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from datasets.audit import balance, duplicates, geometry, intensities, kinds, placement, spacing, splits, values
from datasets.audit.facts import CaseFacts, Survey
from datasets.audit.gathering import gather
from datasets.defects import Defect, DefectCode
from datasets.example import Dataset
from datasets.labels import LabelSet

_CHUNK = 8
_ORDER = {code: number for number, code in enumerate(DefectCode)}


def audit(
    dataset: Dataset,
    *,
    wanted: LabelSet | None = None,
    workers: int = 1,
    told: Callable[[int, int], None] | None = None,
) -> tuple[Defect, ...]:
    """What is wrong with a dataset, all of it: a case that cannot be read stops nothing.

    Args:
        dataset: What to examine.
        wanted: Labels of the task that is to learn from it; None where there is none.
        workers: Processes that read; 1 reads in this one.
        told: Called with how many cases are done, of how many.

    Returns:
        The dataset's own defects and what was found, errors first, then by code and name; each once. None for a sound
        dataset. A dataset without examples is an error.
    """
    survey = Survey(dataset, tuple(_gathered(dataset, workers, told)))
    found = [*dataset.defects, *(defect for case in survey.cases for defect in case.defects)]
    if not dataset.examples:
        advice = "check the folder and its layout"
        found.append(Defect(DefectCode.IMAGE_MISSING, "error", "", "the dataset has no examples", advice))
    for check in (geometry, placement, duplicates, splits, spacing, intensities, kinds, balance):
        found += check.check(survey)
    found += values.check(survey, wanted)
    return tuple(sorted(dict.fromkeys(found), key=lambda one: (one.gravity, _ORDER[one.code], one.where)))


def _gathered(dataset: Dataset, workers: int, told: Callable[[int, int], None] | None) -> Iterator[CaseFacts]:
    total = len(dataset.examples)
    if workers <= 1 or total < 2 * workers:
        for done, example in enumerate(dataset.examples, start=1):
            yield gather(example)
            if told is not None:
                told(done, total)
        return
    # Started afresh: a copy of this process would inherit the locks of its threads.
    with ProcessPoolExecutor(min(workers, total), mp_context=get_context("spawn")) as pool:
        for done, facts in enumerate(pool.map(gather, dataset.examples, chunksize=_CHUNK), start=1):
            yield facts
            if told is not None:
                told(done, total)
