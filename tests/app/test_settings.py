"""What the environment says."""

import stat
from pathlib import Path

import pytest

from app.settings import DATA, DATABASE, IDLE_MINUTES, OIDC, READER, SECRET, InstallationSettings, Login
from datasets.errors import ConfigError

LOGIN = {
    "CLIENT_ID": "denselens",
    "CLIENT_SECRET": "s",
    "METADATA_URL": "http://localhost/.well-known/openid-configuration",
    "REDIRECT_URI": "http://localhost/oauth2callback",
}


def test_without_any_variable_everything_is_the_users_own() -> None:
    settings = InstallationSettings.read({"XDG_DATA_HOME": "/home/anna/data"})
    assert settings.data == Path("/home/anna/data/denselens")
    assert settings.database == "sqlite:////home/anna/data/denselens/denselens.sqlite"
    assert settings.login is None
    assert settings.reader


def test_what_is_said_counts(tmp_path: Path) -> None:
    said = {DATABASE: "postgresql://h/d", DATA: str(tmp_path), READER: "anna", IDLE_MINUTES: "5", SECRET: "x" * 32}
    settings = InstallationSettings.read(said | {OIDC + key: value for key, value in LOGIN.items()})
    assert (settings.database, settings.data, settings.reader) == ("postgresql://h/d", tmp_path, "anna")
    assert settings.idle_minutes == 5.0
    assert settings.secret() == "x" * 32
    assert settings.login == Login(*LOGIN.values())
    assert not list(tmp_path.iterdir())


def test_the_secret_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    settings = InstallationSettings(database="", data=tmp_path / "own")
    first = settings.secret()
    assert len(first) >= 64
    assert InstallationSettings(database="", data=tmp_path / "own").secret() == first
    assert stat.S_IMODE((tmp_path / "own" / "secret").stat().st_mode) == 0o600
    assert InstallationSettings(database="", data=tmp_path / "other").secret() != first


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_minutes_that_cannot_be_meant_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=IDLE_MINUTES):
        InstallationSettings.read({IDLE_MINUTES: value})


def test_half_a_login_is_refused_and_its_secret_not_told() -> None:
    with pytest.raises(ConfigError, match="METADATA_URL") as refused:
        InstallationSettings.read({OIDC + "CLIENT_ID": "denselens", OIDC + "CLIENT_SECRET": "very secret"})
    assert "very secret" not in str(refused.value)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ConfigError, match=SECRET):
        InstallationSettings.read({SECRET: "short"})
