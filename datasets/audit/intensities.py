"""Values that cannot be right, and images whose values are unlike those of the rest."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from datasets.audit.facts import CaseFacts, ImageFacts, Survey
from datasets.defects import Defect, DefectCode, Gravity
from datasets.image import Intensity

SUBTRACT, INVERT = "subtract_1024", "invert_image"

# A volume of people in a scanner has air in it or around it. Between 900 and 1200 HU lies the densest bone, never a
# tenth of a volume; soft tissue lies there when 1024 was left in.
_AIR_HU = -300.0
_OFFSET_SHARE = 0.1
_HAS_AIR_HU = -900.0
_PLAUSIBLE_HU = (-4096.0, 32767.0)

_FEWEST_CASES = 10
# Robust z (median and 1.4826 MAD) of a percentile, and how much farther than usual the nearest others are.
_FAR_Z = 6.0
_ALONE = 6.0
_NEIGHBOURS = 3
# As unlike the set's mean picture as others are like it.
_INVERTED = -0.5
_ALIKE = 0.5

_Imaged = tuple[CaseFacts, ImageFacts]


def check(survey: Survey) -> Iterator[Defect]:
    """Images without contrast, CT that is no Hounsfield units, films in negative, and outliers among the rest."""
    cases = survey.imaged
    for case, image in cases:
        if image.is_constant:
            told = f"all {int(np.prod(image.shape))} voxels have the value {image.percentiles[0]:g}"
            advice = "export the image again, or leave the case out"
            yield Defect(DefectCode.INTENSITY_OUTLIER, "error", case.name, told, advice)
    cases = tuple((case, image) for case, image in cases if not image.is_constant)
    told_of: set[str] = set()
    for defect in (*_not_hounsfield(cases), *_inverted(cases)):
        told_of.add(defect.where)
        yield defect
    yield from _outliers([(case, image) for case, image in cases if case.name not in told_of])


def _not_hounsfield(cases: Sequence[_Imaged]) -> Iterator[Defect]:
    volumes = [(case, image) for case, image in cases if image.is_volume]
    with_air = [image.percentiles[0] <= _HAS_AIR_HU for _, image in volumes if _may_be_ct(image)]
    is_ct_set = len(with_air) > 1 and 2 * sum(with_air) > len(with_air)
    for case, image in volumes:
        low, high = image.percentiles[0], image.percentiles[-1]
        if not (_may_be_ct(image) and (is_ct_set or image.modality == "CT")):
            continue
        if low > _AIR_HU and image.offset_share >= _OFFSET_SHARE:
            told = f"values from {low:.0f} to {high:.0f}, {image.offset_share:.0%} of them between 900 and 1200: 1024 "
            told += "was not taken off, these are no Hounsfield units"
            advice = "subtract 1024, or convert the source again with its rescale intercept"
            yield Defect(DefectCode.INTENSITY_OUTLIER, "error", case.name, told, advice, SUBTRACT)
        elif low > _AIR_HU and is_ct_set:
            told = f"values from {low:.0f} to {high:.0f}, without air, in a set of Hounsfield units"
            advice = "right for a part cut out of a body; otherwise convert the source again with its rescale"
            yield Defect(DefectCode.INTENSITY_OUTLIER, _gravity(high), case.name, told, advice)
        elif low < _PLAUSIBLE_HU[0] or high > _PLAUSIBLE_HU[1]:
            told = f"values from {low:.0f} to {high:.0f} are no Hounsfield units"
            yield Defect(DefectCode.INTENSITY_OUTLIER, "warning", case.name, told, "look at the image")


def _may_be_ct(image: ImageFacts) -> bool:
    return image.modality == "CT" or (image.modality == "" and image.intensity is Intensity.HOUNSFIELD)


def _gravity(high: float) -> Gravity:
    """Where nothing reaches bone either, values were scaled: nobody is without both air and bone."""
    return "error" if high <= 1.0 or high == 255.0 else "warning"


def _inverted(cases: Sequence[_Imaged]) -> Iterator[Defect]:
    """Films in negative beside the others: MONOCHROME1 that was not applied."""
    films = [(case, image) for case, image in cases if not image.is_volume and image.channels == 1]
    shapes = {image.thumbnail.shape for _, image in films}
    if len(films) < _FEWEST_CASES or len(shapes) != 1:
        return
    stack = np.stack([image.thumbnail.ravel() for _, image in films])
    stack = stack - stack.mean(axis=1, keepdims=True)
    stack = stack / np.maximum(np.linalg.norm(stack, axis=1, keepdims=True), 1e-9)
    # The median is no friend of the few that are in negative.
    usual = np.median(stack, axis=0)
    alike = stack @ usual / max(float(np.linalg.norm(usual)), 1e-9)
    if np.median(alike) < _ALIKE:
        return
    for (case, _), correlation in zip(films, alike, strict=True):
        if correlation <= _INVERTED:
            told = f"black and white are exchanged: correlation {correlation:.2f} with the typical picture, where "
            told += f"others have {np.median(alike):.2f}"
            advice = "look at it; invert it, or export it with its photometric interpretation"
            yield Defect(DefectCode.INTENSITY_OUTLIER, "error", case.name, told, advice, INVERT)


def _outliers(cases: Sequence[_Imaged]) -> Iterator[Defect]:
    """Cases with a percentile far from the set's, and with no others near: a second kind of image is no outlier."""
    if len(cases) < _FEWEST_CASES:
        return
    values = np.stack([image.percentiles[1:-1] for _, image in cases])
    centre = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - centre), axis=0)
    # A percentile that is the same in most images (the black of films) has no spread to measure by.
    spread = np.maximum(spread, 0.05 * float(np.median(values[:, -1] - values[:, 0])))
    z = (values - centre) / np.maximum(spread, 1e-9)
    apart = _apart(z)
    alone = apart > _ALONE * max(float(np.median(apart)), 1.0)
    for (case, image), scores, by_itself in zip(cases, z, alone, strict=True):
        worst = int(np.abs(scores).argmax())
        if by_itself and abs(scores[worst]) > _FAR_Z:
            name = ("1st", "5th", "25th", "50th", "75th", "95th", "99th")[worst]
            told = f"{name} percentile {image.percentiles[worst + 1]:.4g} where the set has about {centre[worst]:.4g} "
            told += f"(robust z {scores[worst]:.1f})"
            advice = "look at the image: its scaling, its window or its kind may be another"
            yield Defect(DefectCode.INTENSITY_OUTLIER, "warning", case.name, told, advice)


def _apart(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance to the third nearest other case."""
    found = np.empty(len(z))
    for row, scores in enumerate(z):
        found[row] = np.partition(np.abs(z - scores).max(axis=1), _NEIGHBOURS)[_NEIGHBOURS]
    return found
