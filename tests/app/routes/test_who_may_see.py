"""Every route by every role and every kind of token: who may not see something gets no byte of it."""

import gzip
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from starlette.routing import Mount, Route

from app.access import Denied, Person, Right, Role, Tokens
from tests.app.routes.asking import ADMIN, House

UPLOAD = "ab" * 16


@dataclass(frozen=True)
class Row:
    """One route: what it asks for, and a request that it answers well.

    `path` has `{case}` where the case's id stands; `case` names a planted one, or "" where the token is for none.
    """

    template: str
    right: Right
    case: str
    path: str
    method: str = "GET"
    good: int = 200
    sent: Callable[[House], dict[str, Any]] = field(default=lambda house: {})


def a_mask(house: House) -> dict[str, Any]:
    case = house.cases["liver"]
    prepared = house.services.viewing.prepared(case)
    assert prepared is not None
    packed = gzip.compress(np.array(prepared.labels()).tobytes())
    return {"content": packed, "headers": {"If-Match": f'"{prepared.view.result_sha256}"'}}


CASE = "/api/cases/{case}"
MATRIX = [
    Row("view", Right.LOOK, "liver", "view"),
    Row("image", Right.LOOK, "liver", "image"),
    Row("labels", Right.LOOK, "liver", "labels"),
    Row("heat/{number:int}", Right.LOOK, "liver", "heat/0"),
    Row("mask", Right.DECIDE, "liver", "mask", "PUT", sent=a_mask),
    Row("masks/{name}", Right.LOOK, "liver", "masks/{mask}"),
    Row("slide", Right.LOOK, "slide", "slide"),
    Row("tiles/{level:int}/{column:int}_{row:int}.jpeg", Right.LOOK, "slide", "tiles/11/0_0.jpeg"),
    Row("slide-heat.png", Right.LOOK, "slide", "slide-heat.png"),
    Row("regions", Right.LOOK, "slide", "regions"),
    Row("exports/{kind}", Right.EXPORT, "liver", "exports/json"),
    Row("explanations/{number:int}", Right.LOOK, "film", "explanations/0"),
    Row("/api/worklist/state", Right.LIST, "", "/api/worklist/state"),
    Row("/api/uploads/{upload}/{name:path}", Right.UPLOAD, "", f"/api/uploads/{UPLOAD}/slice.dcm", "PUT", 201),
    Row("/api/uploads/{upload}/done", Right.UPLOAD, "", f"/api/uploads/{UPLOAD}/done", "POST"),
    Row("/api/uploads/{upload}", Right.UPLOAD, "", f"/api/uploads/{UPLOAD}", "DELETE", 204),
]
# What anybody may have: scripts that ship, and that the server lives.
OPEN = {("GET", "/api/health"), ("", "/assets")}
ABOUT_A_CASE = [row for row in MATRIX if row.case]


def by_route(rows: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=lambda row: f"{row.method} {row.template}")


def template(row: Row) -> str:
    return row.template if row.template.startswith("/") else f"{CASE}/{row.template}"


def path_of(house: House, row: Row, case: str | None = None) -> str:
    if row.path.startswith("/"):
        return row.path
    mask = ""
    if "{mask}" in row.path:
        one = house.cases["liver"]
        mask = house.services.viewing.save_mask(one, a_mask(house)["content"]).mask
    return f"/api/cases/{case or house.cases[row.case].id}/{row.path.format(mask=mask)}"


def bound_to(house: House, row: Row) -> str:
    if row.path.startswith("/api/uploads/"):
        return f"upload:{UPLOAD}"
    return house.cases[row.case].id if row.case else ""


@pytest.fixture(autouse=True)
def arriving(house: House) -> Iterator[None]:
    """An upload of which one file has come."""
    with house.services.uploads.receiving(UPLOAD, "film.png") as incoming:
        incoming.write(b"no film")
    yield
    house.services.uploads.discard(UPLOAD)


def assert_refused(answer: Any, status: int) -> None:
    """A code and a sentence, and nothing else."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert set(told) == {"code", "message"}
    assert told["code"] == "denied"
    assert len(answer.content) < 200


def test_the_matrix_has_every_route(house: House) -> None:
    found = set()
    for route in house.routes:
        if isinstance(route, Mount):
            found.add(("", route.path))
            continue
        assert isinstance(route, Route)
        found |= {(method, route.path) for method in route.methods or () if method != "HEAD"}
    assert found == {(row.method, template(row)) for row in MATRIX} | OPEN


@by_route(MATRIX)
@pytest.mark.parametrize("role", list(Role))
def test_every_role(house: House, row: Row, role: Role) -> None:
    person, case = Person("somebody", frozenset({role})), bound_to(house, row)
    rights = frozenset(right for right in Right if person.may(right))
    # The most that a page would ever give them.
    token = house.services.tokens.grant(person, rights, case)
    answer = house.ask(path_of(house, row), token, row.method, **row.sent(house))
    if person.may(row.right):
        assert answer.status_code == row.good, answer.text
    else:
        assert_refused(answer, 403)
        with pytest.raises(Denied):
            house.services.tokens.grant(person, frozenset({row.right}), case)


def bad_tokens(house: House, row: Row) -> dict[str, tuple[str | None, int]]:
    case, others = bound_to(house, row), frozenset(Right) - {row.right}
    good = house.token(case, row.right)
    foreign = Tokens("the secret of quite another installation").grant(ADMIN, frozenset({row.right}), case)
    return {
        "none": (None, 401),
        "empty": ("", 401),
        "garbage": ("garbage.of-no-meaning", 401),
        "changed": (good.swapcase(), 401),
        "of another installation": (foreign, 401),
        "expired": (house.expired(case, row.right), 401),
        "of another case": (house.token(house.cases["other"].id, row.right), 403),
        "of no case, or of one": (house.token("" if case else house.cases["liver"].id, row.right), 403),
        "without the right": (house.token(case, *others), 403),
    }


@by_route(MATRIX)
def test_no_token_but_a_good_one(house: House, row: Row) -> None:
    path, sent = path_of(house, row), row.sent(house)
    for kind, (token, status) in bad_tokens(house, row).items():
        answer = house.ask(path, token, row.method, **sent)
        assert answer.status_code == status, kind
        assert_refused(answer, status)
        if row.method == "GET":
            head = house.ask(path, token, "HEAD")
            assert (head.status_code, head.content) == (status, b""), kind
    assert house.ask(path, house.token(bound_to(house, row), row.right), row.method, **sent).status_code == row.good


@by_route(MATRIX)
def test_a_token_counts_in_its_header_alone(house: House, row: Row) -> None:
    token = house.token(bound_to(house, row), row.right)
    elsewhere: list[dict[str, Any]] = [
        {"params": {"token": token, "access_token": token, "authorization": f"Bearer {token}"}},
        {"headers": {"Cookie": f"token={token}; Authorization=Bearer {token}"}},
        {"headers": {"Authorization": f"Basic {token}"}},
    ]
    for more in elsewhere:
        assert_refused(house.ask(path_of(house, row), None, row.method, **more), 401)


@by_route(ABOUT_A_CASE)
def test_whether_a_case_exists_is_not_told(house: House, row: Row) -> None:
    tokens = (house.token(house.cases["liver" if row.case != "liver" else "film"].id, row.right), None, "garbage")
    for token in tokens:
        there, missing = (
            house.ask(path_of(house, row, case), token, row.method) for case in (house.cases[row.case].id, "0" * 32)
        )
        assert (there.status_code, there.content) == (missing.status_code, missing.content)
        assert there.headers == missing.headers


@by_route(ABOUT_A_CASE)
def test_a_case_that_is_gone_is_told_to_who_may_know(house: House, row: Row) -> None:
    answer = house.ask(path_of(house, row, "0" * 32), house.token("0" * 32, row.right), row.method, **row.sent(house))
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_case")


def test_no_pixel_stands_in_what_is_refused(house: House) -> None:
    """Against the bytes themselves: no eight in a row of the scan are in any answer without the right."""
    image = house.look("liver", "image").content
    grams = {image[at : at + 8] for at in range(0, len(image) - 8)} - {bytes(8)}
    for row, kind in itertools.product((row for row in MATRIX if row.case == "liver"), ("garbage", None)):
        body = house.ask(path_of(house, row), kind, row.method).content
        assert not any(body[at : at + 8] in grams for at in range(len(body)))
