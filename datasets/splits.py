"""Parts of a dataset, drawn by patient: what one is trained on is never what another part is judged by.

Patients are dealt greedily, as iterative stratification does with single examples (Sechidis et al., ECML PKDD 2011):
labels from the rarest to the commonest; of each the patients who have it, those with most examples of it first and a
hash of seed and name deciding among equals; each patient to the part that is furthest from its share of that label,
and among equals to the one furthest from its share of examples. Patients without any label are dealt last, by size.
What is known of an example without reading pixels counts as its labels: findings that are there, its class, or the
quarter of all values its score lies in. Nothing depends on the order of the examples.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from datasets.errors import ConfigError
from datasets.example import ClassTruth, Example, FindingsTruth, Split

_Part = TypeVar("_Part", bound=Hashable)
_TRAIN: Split = "train"
_QUARTERS = (0.25, 0.5, 0.75)
_CLOSE = 1e-9


def split_by_patient(
    examples: Sequence[Example],
    shares: Mapping[Split, float],
    seed: int,
    patients: Mapping[str, str] | None = None,
    *,
    as_given: bool = True,
) -> dict[Split, tuple[Example, ...]]:
    """Divide examples into parts.

    The dataset's own parts are kept: what it gives to "validation" or "test" is all of that part, and parts that it
    does not give are drawn, at the ratio of their shares, from its "train" and from what it gives to none. Of a part
    that was not asked for nothing is used.

    Args:
        examples: Of one dataset, in any order; none gives empty parts.
        shares: Of examples, by part; above 0. They need not add up to 1.
        seed: Other seeds give other parts.
        patients: By an example's name, whom it shows, where that is known better than by the example itself.
        as_given: Keep the dataset's own parts; otherwise all examples are drawn anew.

    Returns:
        By part, the examples by name.

    Raises:
        ConfigError: There are fewer patients than parts to draw, or the dataset gives a patient to two parts.
        ValueError: A share is not above 0.
    """
    if any(share <= 0.0 for share in shares.values()):
        raise ValueError(f"expected shares above 0; got {dict(shares)}")
    own = {part: [e for e in examples if as_given and e.split == part] for part in shares}
    drawn = [part for part in shares if part == _TRAIN or not own[part]]
    kept = {part: own[part] for part in shares if part not in drawn}
    pool = [e for e in examples if not as_given or e.split in ("", _TRAIN)]
    groups = _by_patient(pool, patients)
    _check_apart([groups, *(_by_patient(members, patients) for members in kept.values())])
    dealt = _deal(groups, {part: shares[part] for part in drawn}, seed) if drawn else {}
    parts = {part: kept.get(part, []) for part in shares}
    for part in drawn:
        parts[part] = [example for patient in dealt[part] for example in groups[patient]]
    return {part: _ordered(members) for part, members in parts.items()}


def folds(
    examples: Sequence[Example],
    number: int,
    seed: int,
    patients: Mapping[str, str] | None = None,
    *,
    as_given: bool = True,
) -> tuple[tuple[Example, ...], ...]:
    """Divide examples into folds of about the same size; each is held out once.

    Args:
        examples: Of one dataset, in any order.
        number: Of folds, at least 2.
        seed: Other seeds give other folds.
        patients: As `split_by_patient`.
        as_given: Leave out what the dataset gives to "test"; its "train" and "validation" are taken together.

    Returns:
        For each fold, the examples held out, by name. Together they are all examples, each once.

    Raises:
        ConfigError: There are fewer patients than folds, or the dataset gives a patient to "test" and another part.
        ValueError: The number is below 2.
    """
    if number < 2:
        raise ValueError(f"expected at least 2 folds; got {number}")
    held_back = [example for example in examples if as_given and example.split == "test"]
    groups = _by_patient([e for e in examples if not as_given or e.split != "test"], patients)
    _check_apart([groups, _by_patient(held_back, patients)])
    dealt = _deal(groups, dict.fromkeys(range(number), 1.0), seed)
    return tuple(_ordered(e for patient in dealt[fold] for e in groups[patient]) for fold in range(number))


def _by_patient(examples: Iterable[Example], patients: Mapping[str, str] | None) -> dict[str, list[Example]]:
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        groups[(patients or {}).get(example.name, example.patient)].append(example)
    return dict(groups)


def _check_apart(parts: Sequence[Mapping[str, object]]) -> None:
    often = Counter(patient for part in parts for patient in part)
    both = sum(number > 1 for number in often.values())
    if both:
        raise ConfigError(
            "each patient in one part of the dataset",
            f"{both} patients that the dataset gives to two of them",
            "mend the dataset (denselens audit names them), or draw all parts anew",
        )


def _deal(groups: Mapping[str, Sequence[Example]], shares: Mapping[_Part, float], seed: int) -> dict[_Part, list[str]]:
    """Patients by part."""
    dealt: dict[_Part, list[str]] = {part: [] for part in shares}
    if not groups:
        return dealt
    if len(groups) < len(shares):
        raise ConfigError(
            f"at least {len(shares)} patients, one for each part", f"{len(groups)}", "ask for fewer parts or folds"
        )
    counts = _counts(groups)
    totals = sum(counts.values(), Counter[str]())
    whole = sum(shares.values())
    # How many examples of each label a part still lacks; "" counts all of them.
    lacking = {part: {name: totals[name] * share / whole for name in totals} for part, share in shares.items()}
    for label, patient in _order(counts, totals, seed):
        part = _neediest(lacking, label)
        dealt[part].append(patient)
        for name, number in counts[patient].items():
            lacking[part][name] -= number
    _fill_empty(dealt, counts)
    return dealt


def _order(counts: Mapping[str, Counter[str]], totals: Counter[str], seed: int) -> list[tuple[str, str]]:
    """Each patient once, with the label for whose sake it is dealt, in the order of dealing."""
    rank = {name: (not name, totals[name], name) for name in totals}
    chances = {patient: hashlib.sha256(f"{seed}:{patient}".encode()).hexdigest() for patient in counts}
    rarest = {patient: min(own, key=rank.__getitem__) for patient, own in counts.items()}

    def key(patient: str) -> tuple[tuple[bool, int, str], int, int, str]:
        label = rarest[patient]
        return rank[label], -counts[patient][label], -counts[patient][""], chances[patient]

    return [(rarest[patient], patient) for patient in sorted(counts, key=key)]


def _neediest(lacking: Mapping[_Part, Mapping[str, float]], label: str) -> _Part:
    most = max(lacks[label] for lacks in lacking.values())
    equals = [part for part, lacks in lacking.items() if lacks[label] > most - _CLOSE]
    return max(equals, key=lambda part: lacking[part][""])


def _fill_empty(dealt: dict[_Part, list[str]], counts: Mapping[str, Counter[str]]) -> None:
    """Give a part that got nobody the smallest patient of the part with most of them."""
    for members in dealt.values():
        if not members:
            largest = max(dealt.values(), key=len)
            smallest = min(largest, key=lambda patient: (counts[patient][""], patient))
            largest.remove(smallest)
            members.append(smallest)


def _counts(groups: Mapping[str, Sequence[Example]]) -> dict[str, Counter[str]]:
    """How many examples of each label a patient has, and under "" how many in all."""
    edges = _edges(example for members in groups.values() for example in members)
    return {
        patient: Counter(label for example in members for label in ("", *_labels(example, edges)))
        for patient, members in groups.items()
    }


def _labels(example: Example, edges: Mapping[str, Sequence[float]]) -> list[str]:
    truth = example.truth
    if isinstance(truth, ClassTruth):
        return [f"class {truth.index}"]
    if not isinstance(truth, FindingsTruth):
        return []
    scored = [f"{name} {np.searchsorted(edges[name], v)}" for name, v in truth.values.items() if name in edges]
    return scored + [name for name, value in truth.values.items() if name not in edges and value == 1.0]


def _edges(examples: Iterable[Example]) -> dict[str, list[float]]:
    """The quarters of what is a score: a finding with other values than 0 and 1."""
    values: dict[str, list[float]] = defaultdict(list)
    for example in examples:
        if isinstance(example.truth, FindingsTruth):
            for name, value in example.truth.values.items():
                values[name].append(value)
    scores = {name: found for name, found in values.items() if not set(found) <= {0.0, 1.0}}
    return {name: np.quantile(found, _QUARTERS).tolist() for name, found in scores.items()}


def _ordered(examples: Iterable[Example]) -> tuple[Example, ...]:
    return tuple(sorted(examples, key=lambda example: example.name))
