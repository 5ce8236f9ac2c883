"""What every answer tells the browser, and paths that lead nowhere."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.access import Right
from app.routes.all import around
from tests.app.routes.asking import House, TestClient

SECRET_TEXT = "patient Doe"


def policy(answer: Response) -> dict[str, str]:
    parts = answer.headers["content-security-policy"].split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


def assert_safe(answer: Response) -> None:
    told = policy(answer)
    for kind in ("script-src", "default-src", "worker-src", "connect-src"):
        assert "unsafe" not in told[kind]
        assert "http" not in told[kind]
        assert "*" not in told[kind]
    assert told["frame-ancestors"] == told["object-src"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/api/health",
        "/assets/files.js",
        "/assets/viewer/viewer.css",
        "/assets/nothing.js",
        "/assets/../all.py",
        "/nowhere",
        "/api/worklist/state",
        "/api/cases/x/view",
    ],
)
def test_every_answer_is_safe(house: House, path: str) -> None:
    assert_safe(house.ask(path, None))


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods(house: House, method: str) -> None:
    answer = house.ask(f"/api/cases/{house.cases['liver'].id}/image", None, method)
    assert answer.status_code == 405
    assert_safe(answer)


def test_good_answers_are_safe(house: House) -> None:
    for path in ("view", "image", "labels", "heat/0"):
        answer = house.look("liver", path)
        assert answer.status_code == 200
        assert_safe(answer)
        assert answer.headers["cache-control"].startswith("private")


def test_nobody_gets_what_the_browser_kept_of_another(house: House) -> None:
    """A copy that is used without asking is one of the same token; every other is asked for anew."""
    for name, path in (("liver", "image"), ("slide", "tiles/11/0_0.jpeg"), ("slide", "slide-heat.png")):
        told = house.look(name, path).headers
        assert "no-cache" in told["cache-control"] or "authorization" in told.get("vary", "").lower()
        assert "public" not in told["cache-control"]


@pytest.fixture
def broken() -> Iterator[TestClient]:
    def fails(request: Request) -> Response:
        raise RuntimeError(SECRET_TEXT)

    app = Starlette(routes=[Route("/fails", fails)], middleware=around())
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_a_bug_has_a_number_and_the_same_headers(broken: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    answer = broken.get("/fails")
    assert answer.status_code == 500
    assert_safe(answer)
    told = answer.json()
    assert told["code"] == "internal_error"
    assert SECRET_TEXT not in answer.text
    assert any(record.message.removeprefix("incident ") in told["message"] for record in caplog.records)


NAMES = (
    "..%2f..%2fsecret",
    "..%5c..%5csecret",
    "%2fetc%2fpasswd",
    "%00",
    "a%00.nii.gz",
    "..",
    ".",
    "%252e%252e%252fsecret",
    "secret",
    "x" * 5000,
    "%ff%fe",
)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("route", ["masks", "exports", "heat", "explanations", "tiles/11"])
def test_names_lead_nowhere(house: House, route: str, name: str) -> None:
    case, secret = house.cases["liver"].id, house.services.settings.secret()
    answer = house.ask(f"/api/cases/{case}/{route}/{name}", house.token(case, *Right))
    assert answer.status_code in {400, 404}
    assert secret not in answer.text
    assert_safe(answer)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_cases_lead_nowhere(house: House, name: str) -> None:
    for route in ("view", "image", "exports/json"):
        answer = house.ask(f"/api/cases/{name}/{route}", house.token(house.cases["liver"].id, *Right))
        assert answer.status_code in {400, 403, 404}
        assert_safe(answer)


@pytest.mark.parametrize(
    "path", ["..%2f..%2froutes%2fall.py", "%2e%2e/%2e%2e/access.py", "..%2fviewer.py", "%00", "vendor"]
)
def test_nothing_beside_the_assets(house: House, path: str) -> None:
    answer = house.client.get(f"/assets/{path}")
    assert answer.status_code in {400, 404}
    assert b"import" not in answer.content
