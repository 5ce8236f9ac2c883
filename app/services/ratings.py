"""What readers of a plan said of each label of each case: there, or not there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.services.reading import Standing
from app.store.records import Review
from pipelines.results import Finding

NOT_THERE, THERE = 0, 1


@dataclass(frozen=True, eq=False)
class Ratings:
    """Items that all readers rated; an item is a label of a case.

    Attributes:
        readers: Who, in the order of the columns.
        cases: (items,) of which case each item is.
        labels: (items,) of which label.
        said: (items, readers) category that each reader chose, from 0.
        categories: How many there are.
    """

    readers: tuple[str, ...]
    cases: tuple[str, ...]
    labels: tuple[str, ...]
    said: NDArray[np.int64]
    categories: int = 2

    def of_label(self, label: str) -> "Ratings":
        """The items of one label."""
        return self._rows(np.array([one == label for one in self.labels], bool))

    def of_readers(self, readers: Sequence[str]) -> "Ratings":
        """What some of the readers said, in the order they are named.

        Raises:
            ValueError: One of them is not there.
        """
        columns = [self.readers.index(reader) for reader in readers]
        return Ratings(tuple(readers), self.cases, self.labels, self.said[:, columns], self.categories)

    def _rows(self, kept: NDArray[np.bool_]) -> "Ratings":
        chosen = np.flatnonzero(kept)
        cases, labels = (tuple(of[at] for at in chosen) for of in (self.cases, self.labels))
        return Ratings(self.readers, cases, labels, self.said[chosen], self.categories)


def labels_there(review: Review, findings: Sequence[Finding]) -> frozenset[str]:
    """The labels that a reader says are there.

    A finding that the network called is there where it was accepted or changed; one it did not call where it was
    changed; one that the reader added where it was not rejected. What a reader did not decide they did not say.

    Args:
        review: Of the result.
        findings: Of the result, in its order.
    """
    return frozenset(one.label for one in review.decisions if _is_there(one.verdict, one.finding, findings))


def _is_there(verdict: str, number: int, findings: Sequence[Finding]) -> bool:
    if verdict == "accepted":
        return number >= len(findings) or findings[number].positive
    return verdict == "modified"


def ratings_of(standing: Standing, findings: Mapping[str, Sequence[Finding]]) -> Ratings:
    """What all readers of a plan said of the cases that all of them have read.

    Args:
        standing: How far the plan has come.
        findings: Of each case's result; cases without any are left out.

    Returns:
        An item for each case and each label that the network or a reader named in any of the cases of its kind: in
        those whose network speaks of the same labels.
    """
    readers = tuple(sorted(standing.plan.readers))
    cases = [case for case in standing.plan.cases if case in standing.read_by_all and findings.get(case)]
    said = {
        (case, reader): labels_there(standing.readings[reader, case], findings[case])
        for case in cases
        for reader in readers
    }
    spoken_of = {case: frozenset(finding.label for finding in findings[case]) for case in cases}
    named: dict[frozenset[str], set[str]] = {}
    for (case, _), labels in said.items():
        named.setdefault(spoken_of[case], set(spoken_of[case])).update(labels)
    items = [(case, label) for case in cases for label in sorted(named[spoken_of[case]])]
    table = [[THERE if label in said[case, reader] else NOT_THERE for reader in readers] for case, label in items]
    return Ratings(
        readers,
        tuple(case for case, _ in items),
        tuple(label for _, label in items),
        np.array(table, np.int64).reshape(len(items), len(readers)),
    )
