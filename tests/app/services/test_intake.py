import json
from pathlib import Path

import pytest

from app.services.intake import new_case, take_in
from app.store.audit_log import AuditLog
from app.store.database import open_database
from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from pipelines.results import Finding, FlagCode, ModelId, Result, StudyRecord, flag


def written(folder: Path) -> Path:
    found = [
        Finding(label=label, probability=p, threshold=0.5, positive=p >= 0.5, calibrated=True)
        for label, p in (("mass", 0.6), ("nodule", 0.9), ("edema", 0.2))
    ]
    result = Result(
        study=StudyRecord(uid="1.2.3", modality="DX", source="film.dcm", series_uid="1"),
        task="chest_xray",
        model=ModelId(name="m", weights_sha256=None, version="0", trained_on="phantoms"),
        findings=tuple(found),
        quality=(flag(FlagCode.STAIN_NOT_NORMALISED, "info", "i"), flag(FlagCode.UNTRAINED_WEIGHTS, "error", "e")),
    )
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(result.document()))
    return folder


def test_a_case_says_what_its_result_says(tmp_path: Path) -> None:
    folder = written(tmp_path / "study")
    case = new_case(folder)
    assert case.findings == ("nodule", "mass")
    assert case.flags == ("untrained_weights", "stain_not_normalised")
    assert (case.study_uid, case.task, case.modality, case.error) == ("1.2.3", "chest_xray", "DX", "")
    assert case.result_sha256 == json.loads((folder / "result.json").read_text())["result_digest"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"result_digest": "a"}', "\0"])
def test_what_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(InputRefused) as refused:
        new_case(tmp_path)
    assert refused.value.code is RefusalCode.UNREADABLE_FILE


def test_a_changed_result_does_not_get_in(tmp_path: Path) -> None:
    folder = written(tmp_path / "study")
    path = folder / "result.json"
    path.write_text(path.read_text().replace("0.9", "0.1"))
    database = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    with pytest.raises(InputRefused, match="digest"):
        take_in(database, folder, "worker")
    assert AuditLog(database).head()[0] == 0
    database.close()
