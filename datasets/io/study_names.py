"""Names for the output folders of studies: each once, and none that a file system or a shell would trip over."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath

from datasets.codes import Repair, RepairCode
from datasets.study import Study

# What Windows forbids, what separates folders, what a terminal obeys.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_LONGEST = 120


def named_apart(studies: Iterable[Study]) -> tuple[Study, ...]:
    """Give every study a uid that no other has and that can be a folder's name.

    Studies of one name (two files `ct.nii.gz` in two folders) get the name of the folder they lie in behind theirs;
    where that does not tell them apart, eight digits of a hash of the path. The names depend on the paths alone, not on
    the order, so that a second run finds the results of the first. A change is told in the study's repairs.

    Args:
        studies: In any order, which is kept; none gives none.
    """
    given = tuple(studies)
    names = [_fit(study.uid) for study in given]
    for extend in (_with_folder, _with_hash):
        often = Counter(name.casefold() for name in names)
        clashing = [often[name.casefold()] > 1 for name in names]
        names = [
            extend(_fit(study.uid), study.source) if clash else name
            for study, name, clash in zip(given, names, clashing, strict=True)
        ]
    return tuple(_renamed(study, name) for study, name in zip(given, _counted(names), strict=True))


def _fit(uid: str) -> str:
    return _FORBIDDEN.sub("_", uid).strip(" .")[:_LONGEST] or "study"


def _with_folder(name: str, source: str) -> str:
    folder = _fit(PurePosixPath(source.replace("\\", "/")).parent.name)
    return f"{name}-{folder}"


def _with_hash(name: str, source: str) -> str:
    return f"{name}-{hashlib.sha256(source.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _counted(names: list[str]) -> list[str]:
    """Count what is still the same: one source that holds one uid twice."""
    taken: set[str] = set()
    counted = []
    for name in names:
        unique, number = name, 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{name}-{number}"
        taken.add(unique.casefold())
        counted.append(unique)
    return counted


def _renamed(study: Study, name: str) -> Study:
    if name == study.uid:
        return study
    message = (
        f"the study is called {name} here, because {_FORBIDDEN.sub('_', study.uid)!r} is taken or no folder's name"
    )
    return replace(study, uid=name, repairs=(*study.repairs, Repair(RepairCode.IDENTIFIERS_DERIVED, message)))
