"""What the environment says about this installation; nobody else asks it."""

import getpass
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from datasets.errors import ConfigError

DATABASE = "DENSELENS_DATABASE"
DATA = "DENSELENS_DATA"
SECRET = "DENSELENS_SECRET"
READER = "DENSELENS_READER"
IDLE_MINUTES = "DENSELENS_IDLE_MINUTES"
MOST_UPLOAD_MB = "DENSELENS_MOST_UPLOAD_MB"
OIDC = "DENSELENS_OIDC_"

_SECRET_FILE = "secret"
_SHORTEST_SECRET = 32
_LOGIN_KEYS = ("CLIENT_ID", "CLIENT_SECRET", "METADATA_URL", "REDIRECT_URI")


@dataclass(frozen=True)
class Login:
    """OpenID Connect, as the identity provider of the house has it.

    Attributes:
        client_id: Of this application at the provider.
        client_secret: The same.
        metadata_url: Of the provider, ending in `/.well-known/openid-configuration`.
        redirect_uri: Of this application, ending in `/oauth2callback`.
        roles_claim: Of the token, which names roles of `app.access`.
        name_claim: Of the token, under which a person stands in reviews and in the log.
    """

    client_id: str
    client_secret: str
    metadata_url: str
    redirect_uri: str
    roles_claim: str = "roles"
    name_claim: str = "sub"


@dataclass(frozen=True)
class InstallationSettings:
    """Where things are here, and who may come in.

    Attributes:
        database: URL of the store.
        data: Folder of what the installation keeps itself: views, edited masks, uploads, its secret.
        reader: Who sits here, where nobody logs in.
        login: Of the house; None is one person on one machine.
        idle_minutes: After which somebody who logged in has to do so again.
        most_upload_mb: Size of one upload.
        stated_secret: By which tokens are signed; "" takes the one in the data folder, made when missing.
    """

    database: str
    data: Path = Path("denselens-data")
    reader: str = "reader"
    login: Login | None = None
    idle_minutes: float = 30.0
    most_upload_mb: float = 4096.0
    stated_secret: str = ""

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> "InstallationSettings":
        """From variables; a file of SQLite in the user's data folder where none says otherwise.

        Raises:
            ConfigError: One has a value that cannot be meant.
        """
        home = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        data = Path(environment.get(DATA) or Path(home) / "denselens")
        return cls(
            database=environment.get(DATABASE) or f"sqlite:///{data / 'denselens.sqlite'}",
            data=data,
            reader=environment.get(READER) or _user(),
            login=_login(environment),
            idle_minutes=_above_zero(environment, IDLE_MINUTES, 30.0),
            most_upload_mb=_above_zero(environment, MOST_UPLOAD_MB, 4096.0),
            stated_secret=_stated_secret(environment),
        )

    def secret(self) -> str:
        """By which tokens and cookies are signed: every process of the installation has the same.

        Raises:
            OSError: The data folder cannot be written to.
        """
        if self.stated_secret:
            return self.stated_secret
        path = self.data / _SECRET_FILE
        self.data.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # For its owner alone from the first moment, whole, and never over one that another process has just made.
            made = self.data / f"{_SECRET_FILE}-{secrets.token_hex(8)}"
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(48))
            with suppress(FileExistsError):
                path.hardlink_to(made)
            made.unlink()
        return path.read_text(encoding="ascii")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "reader"


def _login(environment: Mapping[str, str]) -> Login | None:
    given = {key: environment.get(OIDC + key, "") for key in _LOGIN_KEYS}
    if not any(given.values()):
        return None
    missing = [OIDC + key for key, value in given.items() if not value]
    if missing:
        raise ConfigError("all of a login's settings", f"none of {', '.join(missing)}", "set them, or none of them")
    return Login(
        client_id=given["CLIENT_ID"],
        client_secret=given["CLIENT_SECRET"],
        metadata_url=given["METADATA_URL"],
        redirect_uri=given["REDIRECT_URI"],
        roles_claim=environment.get(OIDC + "ROLES_CLAIM") or "roles",
        name_claim=environment.get(OIDC + "NAME_CLAIM") or "sub",
    )


def _above_zero(environment: Mapping[str, str], name: str, usual: float) -> float:
    said = environment.get(name)
    try:
        value = float(said) if said else usual
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise ConfigError(f"a number above 0 in {name}", repr(said), f"correct {name}")
    return value


def _stated_secret(environment: Mapping[str, str]) -> str:
    said = environment.get(SECRET, "")
    if said and len(said) < _SHORTEST_SECRET:
        raise ConfigError(f"at least {_SHORTEST_SECRET} characters in {SECRET}", str(len(said)), "take a longer one")
    return said
