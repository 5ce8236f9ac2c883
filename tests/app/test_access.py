"""Roles, rights and signed tokens."""

import itertools

import pytest

from app.access import Denied, Person, Right, Role, Tokens, roles_of

SECRET = "a secret of forty characters, and no less"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens(SECRET, clock)


READER = Person("anna", frozenset({Role.READER}))
OPERATOR = Person("otto", frozenset({Role.OPERATOR}))

# As the house has agreed; the page and the routes ask for nothing else.
MATRIX = {
    Role.READER: {"list", "look", "decide", "export", "upload"},
    Role.RESEARCHER: {"list", "look", "research"},
    Role.OPERATOR: {"list", "upload"},
    Role.ADMIN: {"list", "look", "decide", "export", "upload", "research", "manage"},
}


@pytest.mark.parametrize(("role", "right"), list(itertools.product(Role, Right)))
def test_every_role_and_right(tokens: Tokens, role: Role, right: Right) -> None:
    person = Person("somebody", frozenset({role}))
    allowed = right.value in MATRIX[role]
    assert person.may(right) is allowed
    if allowed:
        assert tokens.read(tokens.grant(person, frozenset({right}), "c1"), right, "c1").person == "somebody"
    else:
        with pytest.raises(Denied) as denied:
            tokens.grant(person, frozenset({right}), "c1")
        assert denied.value.known


def test_somebody_without_a_role_may_do_nothing() -> None:
    assert not any(Person("nobody", frozenset()).may(right) for right in Right)


def test_roles_add_up() -> None:
    both = Person("both", frozenset({Role.RESEARCHER, Role.OPERATOR}))
    assert both.may(Right.LOOK)
    assert both.may(Right.UPLOAD)
    assert not both.may(Right.DECIDE)


def test_a_token_is_for_its_case_its_rights_and_its_time(tokens: Tokens, clock: Clock) -> None:
    token = tokens.grant(READER, frozenset({Right.LOOK}), "c1", 60.0)
    assert tokens.read(token, Right.LOOK, "c1").case == "c1"
    for right, case, known in ((Right.LOOK, "c2", True), (Right.LOOK, "", True), (Right.DECIDE, "c1", True)):
        with pytest.raises(Denied) as denied:
            tokens.read(token, right, case)
        assert denied.value.known is known
    clock.now += 59.9
    tokens.read(token, Right.LOOK, "c1")
    clock.now += 0.1
    with pytest.raises(Denied) as denied:
        tokens.read(token, Right.LOOK, "c1")
    assert not denied.value.known


def test_a_token_never_outlives_the_login(tokens: Tokens, clock: Clock) -> None:
    short = Person("anna", frozenset({Role.READER}), until=clock.now + 5.0)
    token = tokens.grant(short, frozenset({Right.LOOK}), "c1")
    clock.now += 5.0
    with pytest.raises(Denied):
        tokens.read(token, Right.LOOK, "c1")


def test_every_changed_character_is_noticed(tokens: Tokens) -> None:
    token = tokens.grant(READER, frozenset({Right.LOOK}), "c1")
    for at in range(len(token)):
        other = "A" if token[at] != "A" else "B"
        with pytest.raises(Denied):
            tokens.read(token[:at] + other + token[at + 1 :], Right.LOOK, "c1")


@pytest.mark.parametrize("token", ["", ".", "abc", "e30.x", "\x00", "ä" * 400])
def test_what_is_no_token_is_refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(Denied):
        tokens.read(token, Right.LOOK, "c1")


def test_another_installation_signs_otherwise(tokens: Tokens, clock: Clock) -> None:
    with pytest.raises(Denied):
        Tokens(SECRET[::-1], clock).read(tokens.grant(READER, frozenset({Right.LOOK}), "c1"), Right.LOOK, "c1")


@pytest.mark.parametrize(
    ("claim", "roles"),
    [
        (["reader", "admin"], {Role.READER, Role.ADMIN}),
        ("reader,researcher operator", {Role.READER, Role.RESEARCHER, Role.OPERATOR}),
        (["Reader", "radiologist", 3, None], set()),
        (None, set()),
        ({"reader": True}, set()),
        (7, set()),
    ],
)
def test_roles_from_a_claim(claim: object, roles: set[Role]) -> None:
    assert roles_of(claim) == roles
