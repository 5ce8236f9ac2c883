"""What a reader of a study is not served: what the network said, in the arm without its help, and what others said."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.access import Person, Right, Role
from app.routes.all import all_routes
from app.services.intake import take_in
from app.services.reading import make_plan
from app.services.services import Services
from app.settings import InstallationSettings
from app.store.reading_records import Arm, NewPlan
from app.store.records import Case, NewReview
from app.store.reviews import Reviews
from tests.app.planted import plant_liver

READER = frozenset({Role.READER})


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    made = Services.of(InstallationSettings.read({"DENSELENS_DATA": str(tmp_path / "own")}))
    yield made
    made.database.close()


@pytest.fixture
def case(services: Services, tmp_path: Path) -> Case:
    return take_in(services.database, plant_liver(tmp_path), "test")


def planned(services: Services, case: Case, arm: Arm) -> None:
    make_plan(services.database, NewPlan(name="study", cases=(case.id,), readers=("anna", "bela"), arms=(arm,)), "eva")


def status(services: Services, case: Case, path: str, name: str) -> int:
    token = services.tokens.grant(Person(name, READER), frozenset({Right.LOOK, Right.EXPORT}), case.id)
    with TestClient(Starlette(routes=all_routes(services))) as client:
        answer = client.get(f"/api/cases/{case.id}/{path}", headers={"Authorization": f"Bearer {token}"})
        return answer.status_code


OF_NETWORK = ("view", "labels", "heat/0")


@pytest.mark.parametrize("path", OF_NETWORK)
def test_without_help_nothing_of_the_network_is_served(services: Services, case: Case, path: str) -> None:
    planned(services, case, "unaided")
    assert status(services, case, path, "anna") == 403
    assert status(services, case, "image", "anna") == 200
    assert status(services, case, path, "who is in no study") == 200


@pytest.mark.parametrize("path", OF_NETWORK)
def test_with_help_it_is(services: Services, case: Case, path: str) -> None:
    planned(services, case, "aided")
    assert status(services, case, path, "anna") == 200


def test_reports_wait_until_all_have_read(services: Services, case: Case) -> None:
    planned(services, case, "aided")
    assert status(services, case, "exports/json", "anna") == 403
    for reader in ("anna", "bela"):
        said = NewReview(case=case.id, reader=reader, result_sha256=case.result_sha256, complete=True)
        Reviews(services.database).append(said)
    assert status(services, case, "exports/json", "anna") == 200
