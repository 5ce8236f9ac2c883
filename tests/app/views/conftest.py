"""Services of an installation of their own, for pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.services import Services
from app.settings import InstallationSettings


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Services]:
    made = Services.of(InstallationSettings(f"sqlite:///{tmp_path / 'store.sqlite'}", tmp_path / "data"))
    yield made
    made.database.close()
