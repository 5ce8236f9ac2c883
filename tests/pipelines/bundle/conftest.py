"""Bundles of the weights that ship, exported once."""

from pathlib import Path

import pytest

from pipelines.bundle.export import export_bundle
from pipelines.task import load_task


@pytest.fixture(scope="session")
def pneumonia(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_bundle(load_task("chest_pneumonia"), None, tmp_path_factory.mktemp("bundles") / "pneumonia").path


@pytest.fixture(scope="session")
def liver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_bundle(load_task("liver_ct"), None, tmp_path_factory.mktemp("bundles") / "liver").path


@pytest.fixture(scope="session")
def nuclei(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_bundle(load_task("nuclei"), None, tmp_path_factory.mktemp("bundles") / "nuclei").path
