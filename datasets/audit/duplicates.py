"""The same image twice: pixel for pixel under another name, header or compression, or nearly so.

Nearly: thumbnails are compared after the mean of the set is taken off, so that what all chests have in common counts
for nothing; images of two patients then correlate by less than 0.93 on 5,232 films, by less than 0.83 on phantoms.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from datasets.audit.facts import CaseFacts, ImageFacts, Survey
from datasets.defects import Defect, DefectCode, Gravity
from datasets.example import ClassTruth, FindingsTruth

LEAVE_OUT = "leave_out"

_ALIKE = 0.97
# In few images the mean of the set is no mean of anything: they must agree as they are.
_FEWEST_FOR_MEAN = 8
_ALIKE_AS_THEY_ARE = 0.999
# Comparing all with all is a square.
_MOST_COMPARED = 20_000
_MOST_MIRRORED = 6_000
_ROWS = 1024
_SPLITS = ("", "test", "validation", "train")

_Imaged = tuple[CaseFacts, ImageFacts]


def check(survey: Survey) -> Iterator[Defect]:
    """Images that are there more than once; images without any contrast are told elsewhere."""
    told: set[frozenset[str]] = set()
    cases = [(case, image) for case, image in survey.imaged if not image.is_constant]
    for group in _same(cases):
        # What is kept is what measures: the copy in the test set, then in the validation set, then the first by name.
        first, *others = sorted(group, key=lambda case: (_SPLITS.index(case.example.split), case.name))
        for other in others:
            told.add(frozenset((first.name, other.name)))
            yield _duplicate(first, other, "the same pixels as")
        told |= {frozenset((one.name, other.name)) for one, other in combinations(others, 2)}
    for one, other, correlation, mirrored in _alike(cases):
        if frozenset((one.name, other.name)) not in told:
            how = f"{'mirrored, ' if mirrored else ''}nearly the same pixels (correlation {correlation:.3f}) as"
            yield _duplicate(one, other, how, exact=False)


def _same(cases: Sequence[_Imaged]) -> Iterator[list[CaseFacts]]:
    """Groups of cases whose pixels are equal in index order or in the patient's."""
    leader: dict[str, int] = {}
    groups: dict[int, list[int]] = {}
    for number, (_, image) in enumerate(cases):
        keys = [key for key in (image.digest, image.placed) if key]
        root = next((leader[key] for key in keys if key in leader), number)
        groups.setdefault(root, []).append(number)
        for key in keys:
            leader.setdefault(key, root)
    for members in groups.values():
        if len(members) > 1:
            yield [cases[number][0] for number in members]


def _alike(cases: Sequence[_Imaged]) -> Iterator[tuple[CaseFacts, CaseFacts, float, bool]]:
    by_shape: dict[tuple[int, ...], list[_Imaged]] = defaultdict(list)
    for case, image in cases:
        by_shape[image.thumbnail.shape].append((case, image))
    for group in by_shape.values():
        if not 2 <= len(group) <= _MOST_COMPARED:
            continue
        stack = np.stack([image.thumbnail for _, image in group])
        seen: set[tuple[int, int]] = set()
        for axes in _mirrors(stack, len(group)):
            for one, other, correlation in _pairs(stack, axes):
                if (one, other) not in seen:
                    seen.add((one, other))
                    yield group[one][0], group[other][0], correlation, bool(axes)


def _mirrors(stack: NDArray[np.float32], count: int) -> Iterator[tuple[int, ...]]:
    axes = [axis for axis in (1, 2, 3) if stack.shape[axis] > 2]
    for number in range(len(axes) + 1 if count <= _MOST_MIRRORED else 1):
        yield from combinations(axes, number)


def _pairs(stack: NDArray[np.float32], axes: tuple[int, ...]) -> Iterator[tuple[int, int, float]]:
    mirrored = np.flip(stack, axes) if axes else stack
    own, other = _unit(stack), _unit(mirrored)
    few = len(stack) < _FEWEST_FOR_MEAN
    if not few:
        own, other = _unit(own - own.mean(axis=0)), _unit(other - own.mean(axis=0))
    for start in range(0, len(own), _ROWS):
        found = own[start : start + _ROWS] @ other.T
        for row, column in np.argwhere(found > (_ALIKE_AS_THEY_ARE if few else _ALIKE)):
            if start + row < column:
                yield int(start + row), int(column), float(found[row, column])


def _unit(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = stack.reshape(len(stack), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _duplicate(kept: CaseFacts, case: CaseFacts, how: str, *, exact: bool = True) -> Defect:
    same_truth = _same_truth(kept, case)
    apart = bool(kept.example.split and case.example.split and kept.example.split != case.example.split)
    notes = [f"{case.example.split} and {kept.example.split}"] if apart else []
    if exact and not same_truth:
        notes.append("with another truth")
    found = f"{how} {kept.name}" + (f" ({', '.join(notes)})" if notes else "")
    if exact and not same_truth:
        return Defect(DefectCode.DUPLICATE_IMAGE, "error", case.name, found, "find out which of the two is true")
    advice = "leave this one out" if exact else "look at both; leave one out where they are one image"
    gravity: Gravity = "error" if exact and apart else "warning"
    return Defect(DefectCode.DUPLICATE_IMAGE, gravity, case.name, found, advice, LEAVE_OUT if exact else "")


def _same_truth(one: CaseFacts, other: CaseFacts) -> bool:
    if one.labels is not None and other.labels is not None:
        # Of a copy in another orientation the label map is turned too, and its digest with it: by the counts then.
        return one.labels.digest == other.labels.digest or _counted(one.labels.counts) == _counted(other.labels.counts)
    mine, theirs = one.example.truth, other.example.truth
    if isinstance(mine, ClassTruth) and isinstance(theirs, ClassTruth):
        return mine.index == theirs.index
    if isinstance(mine, FindingsTruth) and isinstance(theirs, FindingsTruth):
        return dict(mine.values) == dict(theirs.values)
    return True


def _counted(counts: Mapping[int, int]) -> dict[int, int]:
    return dict(counts)
