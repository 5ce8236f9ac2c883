import json
from pathlib import Path

import pytest
from sqlalchemy import text

from app.cli import main
from app.settings import DATABASE, InstallationSettings
from app.store.audit_log import AuditLog
from app.store.database import open_database


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'denselens.sqlite'}"
    database = open_database(url)
    for what in ("pdf", "sr"):
        AuditLog(database).note("anna", "export", "case:1", {"what": what})
    database.close()
    return url


def verified(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    code = main(["audit-log", "verify", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_a_whole_log_is_told_with_its_head(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = verified(capsys, "--database", url)
    assert (code, told["whole"], told["lines"], told["faults"]) == (0, True, 2, [])
    assert verified(capsys, "--database", url, "--head", str(told["head"]))[0] == 0
    assert main(["audit-log", "verify", "--database", url]) == 0
    assert f"whole: 2 lines, the last one {told['head']}" in capsys.readouterr().out


def test_a_broken_log_names_the_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    database = open_database(url)
    with database.writing() as session:
        session.execute(text("DROP TRIGGER audit_log_no_update"))
        session.execute(text("UPDATE audit_log SET entry = replace(entry, 'pdf', 'csv')"))
    database.close()
    code, told = verified(capsys, "--database", url)
    assert (code, told["whole"]) == (3, False)
    assert told["faults"] == [{"line": 1, "found": "changed"}]
    assert main(["audit-log", "verify", "--database", url]) == 3
    assert "line 1: changed" in capsys.readouterr().out


def test_a_new_chain_does_not_hold_the_old_head(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = verified(capsys, "--database", url, "--head", "0" * 64)
    assert (code, told["whole"]) == (3, False)


def test_the_environment_says_where_the_store_is(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE, url)
    assert verified(capsys)[1]["lines"] == 2


def test_without_a_word_it_is_a_file_of_the_user() -> None:
    assert (
        InstallationSettings.read({"XDG_DATA_HOME": "/data"}).database == "sqlite:////data/denselens/denselens.sqlite"
    )
    assert InstallationSettings.read({DATABASE: "sqlite:///a"}).database == "sqlite:///a"


def test_a_wrong_url_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit-log", "verify", "--database", "mysql://a/b"]) == 2
    assert "--database" in capsys.readouterr().err
