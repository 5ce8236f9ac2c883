"""What the environment says about this installation; nobody else asks it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DATABASE = "DENSELENS_DATABASE"


@dataclass(frozen=True)
class InstallationSettings:
    """Where things are here.

    Attributes:
        database: URL of the store.
    """

    database: str

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> "InstallationSettings":
        """From variables; a file of SQLite in the user's data folder where none says otherwise."""
        home = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return cls(database=environment.get(DATABASE) or f"sqlite:///{Path(home) / 'denselens' / 'denselens.sqlite'}")
