"""Services of an installation of their own, for pages."""

import sys
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


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Streamlit leaves the page's script in the place of the main module, which processes started later import."""
    kept = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = kept
