"""An installation with one case of each kind, and the routes over it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image as Picture
from starlette.applications import Starlette

from app.routes.all import all_routes, around
from app.services.intake import take_in
from app.services.services import Services
from app.settings import InstallationSettings
from app.store.records import Case
from pipelines.results import Explanation
from tests.app.planted import plant_failure, plant_film, plant_liver
from tests.app.planted_slide import plant_slide
from tests.app.routes.asking import House, TestClient


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    root: Path = tmp_path_factory.mktemp("house")
    picture = Explanation(label="effusion", method="grad_cam", file="map.npy", files={"picture": "map.png"})
    folders = {
        "liver": plant_liver(root),
        "other": plant_liver(root, seed=8),
        "film": plant_film(root, explanations=(picture,)),
        "slide": plant_slide(root),
        "failure": plant_failure(root),
    }
    Picture.new("RGB", (8, 8), (200, 10, 10)).save(folders["film"] / "map.png")
    settings = InstallationSettings.read({"DENSELENS_DATA": str(root / "own"), "DENSELENS_MOST_UPLOAD_MB": "4"})
    services = Services.of(settings)
    cases: dict[str, Case] = {name: take_in(services.database, folder, "score") for name, folder in folders.items()}
    services.viewing.prepare(cases["liver"])
    routes = all_routes(services)
    with TestClient(Starlette(routes=routes, middleware=around()), raise_server_exceptions=False) as client:
        yield House(services, cases, routes, client)
    services.close()


@pytest.fixture
def results(house: House) -> dict[str, Path]:
    """Folders of the cases, whose documents are as they were written."""
    found = {name: Path(case.folder) for name, case in house.cases.items()}
    assert all(json.loads((folder / "result.json").read_text()) for folder in found.values())
    return found
