"""Images of another kind than the rest of the set: channels, bit depth, modality, volumes among pictures."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from datasets.audit.facts import CaseFacts, ImageFacts, Survey
from datasets.defects import Defect, DefectCode, Gravity

# As common as this, a second kind belongs to the set and is told once.
_COMMON = 0.2

_Imaged = tuple[CaseFacts, ImageFacts]


def check(survey: Survey) -> Iterator[Defect]:
    """Cases whose number of series or channels, type or modality is not that of the others."""
    cases = survey.imaged
    advice = "bring all images of a set into one form, or leave these out"
    yield from _differing(cases, _series, "error", advice)
    greys = [(case, image) for case, image in cases if image.channels == 1]
    if 2 * sum(image.stored_channels == 1 for _, image in cases) > len(cases):
        # Grey stored as colour among greys loses nothing when it is converted.
        yield from _differing(greys, _channels, "warning", "its channels are alike: convert it to grey")
        plain = [(case, image) for case, image in cases if image.channels == image.stored_channels]
        yield from _differing(plain, _channels, "error", advice)
    else:
        yield from _differing(cases, _channels, "error", advice)
    yield from _differing(cases, _modality, "error", "train on one modality, or leave these out")
    yield from _differing(cases, _dimensions, "error", advice)
    pictures = [(case, image) for case, image in cases if not image.is_volume]
    yield from _differing(pictures, _depth, "warning", "bring all to one bit depth: white is another number here")


def _differing(
    cases: Sequence[_Imaged], kind: Callable[[CaseFacts, ImageFacts], str], gravity: Gravity, advice: str
) -> Iterator[Defect]:
    kinds = Counter(kind(case, image) for case, image in cases)
    del kinds[""]
    if len(kinds) < 2:
        return
    usual, _ = kinds.most_common(1)[0]
    for other, count in kinds.items():
        if other != usual and count > _COMMON * len(cases) and len(cases) > 1 / _COMMON:
            first = next(case for case, image in cases if kind(case, image) == other)
            told = f"{count} of {len(cases)} cases have {other}, such as {first.name}; most have {usual}"
            yield Defect(DefectCode.IMAGES_DIFFER, gravity, "", told, advice)
    for case, image in cases:
        found = kind(case, image)
        if found not in ("", usual) and not (kinds[found] > _COMMON * len(cases) and len(cases) > 1 / _COMMON):
            told = f"{found} where {kinds[usual]} of {len(cases)} cases have {usual}"
            yield Defect(DefectCode.IMAGES_DIFFER, gravity, case.name, told, advice)


def _series(case: CaseFacts, _: ImageFacts) -> str:
    # One that could not be read is told already.
    return "" if len(case.images) < len(case.example.study.series) else f"{len(case.images)} series"


def _channels(_: CaseFacts, image: ImageFacts) -> str:
    return f"{image.stored_channels} channel{'s' if image.stored_channels > 1 else ''}"


def _modality(_: CaseFacts, image: ImageFacts) -> str:
    return image.modality and f"modality {image.modality}"


def _dimensions(_: CaseFacts, image: ImageFacts) -> str:
    return "several slices" if image.is_volume else "one slice"


def _depth(_: CaseFacts, image: ImageFacts) -> str:
    return f"values of type {image.dtype}"
