"""Labels that do not lie on what they label though the headers agree: mirrored, turned, shifted, or another case's."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from datasets.audit.facts import CaseFacts, LabelFacts, Survey
from datasets.audit.fit import T_SHIFTED, T_WINS, Z_AND_T, Z_FITS, Fit, Move, exchange
from datasets.audit.geometry import lies_on_image
from datasets.defects import Defect, DefectCode, Gravity

FLIP = "flip_labels_"

# A label that fits no better than at a random place, in a set where most fit, is not its image's.
_Z_RANDOM = 2.0
_FEWEST_CASES = 4
# Comparing every label with every image is a square; beyond this many doubtful cases it is left out.
_MOST_COMPARED = 400
_AXES = "ijk"


def check(survey: Survey) -> Iterator[Defect]:
    """Labels that would fit better elsewhere.

    A case counts only where image and labels lie on one grid: anything else is told as a mismatch of geometry.
    """
    cases = [(case, labels, labels.fit) for case, labels in survey.labelled if labels.fit and lies_on_image(case)]
    swapped = dict(_exchanged(cases))
    typical = float(np.median([found.z for _, _, found in cases])) if cases else 0.0
    for case, _, found in cases:
        fits = typical >= Z_FITS and len(cases) >= _FEWEST_CASES
        if found.move is not None and not any(found.move.shift) and (fits or not found.is_hint):
            yield _turned(case, found, found.move)
        elif case.name in swapped:
            yield swapped[case.name]
        elif found.move is not None and any(found.move.shift) and fits:
            yield _shifted(case, found, found.move)
        elif found.z < _Z_RANDOM and fits:
            told = (
                f"the labels fit the image no better than at random places (z {found.z:.1f}; {typical:.1f} in the set)"
            )
            advice = "look at the case: the labels may be another image's"
            yield Defect(DefectCode.LABELS_MISPLACED, "warning", case.name, told, advice)


def _turned(case: CaseFacts, found: Fit, move: Move) -> Defect:
    axes = "".join(_AXES[axis] for axis in move.mirrored)
    how = f"mirrored along {' and '.join(axes)}" if axes else ""
    if move.is_turn:
        order = "".join(_AXES[axis] for axis in move.axes)
        how = f"with axes in the order {order}{' and ' if how else ''}{how}"
    told = f"the labels would fit the image {how}: {_figures(found)}"
    fix = "" if move.is_turn else FLIP + axes
    return Defect(DefectCode.LABELS_FLIPPED, "error", case.name, told, "look at the case; turn the labels back", fix)


def _shifted(case: CaseFacts, found: Fit, move: Move) -> Defect:
    voxels = " x ".join(str(n) for n in move.shift)
    grid = case.image.grid if case.image else None
    if grid is not None:
        voxels += " voxels, " + " x ".join(f"{n * mm:.0f}" for n, mm in zip(move.shift, grid.spacing_mm, strict=True))
        voxels += " mm"
    told = f"the labels would fit the image when shifted by about {voxels}: {_figures(found)}"
    # Where the label fits as it is, a better place nearby may be how it was drawn.
    gravity: Gravity = "warning" if found.z >= Z_FITS else "error"
    advice = "look at the case; export the labels again"
    return Defect(DefectCode.LABELS_MISPLACED, gravity, case.name, told, advice)


def _figures(found: Fit) -> str:
    return f"z {found.move_z:.1f} for {found.z:.1f}, {found.move_t:.1f} standard errors"


def _exchanged(cases: Sequence[tuple[CaseFacts, LabelFacts, Fit]]) -> Iterator[tuple[str, Defect]]:
    """Cases whose image is fitted better by the labels of another."""
    alike: dict[tuple[int, ...], list[tuple[CaseFacts, LabelFacts, Fit]]] = defaultdict(list)
    for case, labels, found in cases:
        if found.sampled is not None:
            alike[labels.shape].append((case, labels, found))
    for group in alike.values():
        if 2 <= len(group) <= _MOST_COMPARED:
            yield from _within(group)


def _within(group: Sequence[tuple[CaseFacts, LabelFacts, Fit]]) -> Iterator[tuple[str, Defect]]:
    better: dict[int, dict[int, tuple[float, float]]] = {}
    for at, (_, labels, found) in enumerate(group):
        better[at] = {}
        for other, (_, others, candidate) in enumerate(group):
            if other == at or others.digest == labels.digest or not (found.sampled and candidate.sampled):
                continue
            z, t = exchange(found.sampled, candidate.sampled)
            if z >= Z_FITS and z > found.z and t >= T_WINS:
                better[at][other] = z, t
    for at, (case, _, found) in enumerate(group):
        for other, (z, t) in sorted(better[at].items(), key=lambda item: -item[1][0])[:1]:
            mutual = at in better[other]
            # Among many cases alike one fits an image a little better than its own, though its own fits: t is of one
            # comparison, and this is the best of as many as there are cases.
            if mutual or t >= (T_SHIFTED if found.z < Z_FITS else Z_AND_T):
                name = group[other][0].name
                told = f"the labels of {name} fit this image better than its own: z {z:.1f} for {found.z:.1f}"
                told += ", and the other way round" if mutual else ""
                advice = "look at both cases; their label maps may have been exchanged"
                yield case.name, Defect(DefectCode.LABELS_MISPLACED, "error", case.name, told, advice)
