"""Everything that pages, routes and workers of one installation share."""

from dataclasses import dataclass, field
from functools import cache

from app.access import Tokens
from app.services.slide_tiles import SlideTiles
from app.services.uploads import Uploads
from app.services.viewing import Viewing
from app.settings import InstallationSettings
from app.store.database import Database, open_database


@dataclass(frozen=True)
class Services:
    """What there is to ask.

    Attributes:
        settings: Of the installation.
        database: Open.
        viewing: Views and masks.
        tokens: By which routes know who asks.
        uploads: What people bring.
        tiles: Of slides, some of which stay open.
    """

    settings: InstallationSettings
    database: Database
    viewing: Viewing
    tokens: Tokens
    uploads: Uploads
    tiles: SlideTiles = field(default_factory=SlideTiles)

    @classmethod
    def of(cls, settings: InstallationSettings) -> "Services":
        """Those of an installation.

        Raises:
            ConfigError: The database cannot be opened.
            OSError: The data folder cannot be written to.
        """
        return cls(
            settings,
            open_database(settings.database),
            Viewing(settings.data),
            Tokens(settings.secret()),
            Uploads(settings.data, round(1e6 * settings.most_upload_mb)),
        )

    def close(self) -> None:
        """Let go of slides and of the database."""
        self.tiles.close()
        self.database.close()


@cache
def services() -> Services:
    """Those of this process, which pages and routes share.

    Raises:
        ConfigError: The environment or the database is not fit.
    """
    return Services.of(InstallationSettings.read())
