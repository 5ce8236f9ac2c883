"""From a study's folder, as `score` left it, to a case on the worklist."""

import json
from pathlib import Path

from app.services.priority import priority_of
from app.store.cases import Cases
from app.store.database import Database
from app.store.records import Case, NewCase
from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from pipelines.outputs import RESULT
from pipelines.results import Result

_GRAVEST_FIRST = {"error": 0, "warning": 1, "info": 2}


def take_in(database: Database, folder: Path, who: str) -> Case:
    """Put a study's result on the worklist; the same result once.

    Args:
        database: Open.
        folder: The study's, as `score` left it.
        who: In whose name the log tells of it.

    Raises:
        InputRefused: `unreadable_file`: there is no whole `result.json`, or it was changed.
    """
    return Cases(database).take_in(new_case(folder), who)


def new_case(folder: Path) -> NewCase:
    """What a study's folder says.

    Raises:
        InputRefused: `unreadable_file`.
    """
    result, digest = read_result(folder)
    flags = sorted(result.quality, key=lambda flag: _GRAVEST_FIRST[flag.severity])
    called = sorted((one for one in result.findings if one.positive), key=lambda one: -(one.probability or 1.0))
    return NewCase(
        study_uid=result.study.uid,
        task=result.task,
        modality=result.study.modality,
        folder=str(folder.resolve()),
        result_sha256=digest,
        findings=tuple(dict.fromkeys(one.label for one in called)),
        flags=tuple(dict.fromkeys(flag.code for flag in flags)),
        priority=priority_of(result.findings, result.quality),
        error=result.error.code if result.error else "",
    )


def read_result(folder: Path) -> tuple[Result, str]:
    """A study's result and its digest.

    Raises:
        InputRefused: `unreadable_file`: it is not there, is none, or is not what was written.
    """
    path = folder / RESULT
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        told = document.pop("result_digest")
        result = Result.model_validate(document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused(path, f"{type(error).__name__} in reading it") from error
    if result.result_digest != told:
        raise _refused(path, "another digest than its content has")
    return result, told


def _refused(path: Path, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNREADABLE_FILE, "a result.json as it was written", f"{path}: {got}", "score the study again"
    )
