"""How the tests of this folder ask: people of every role, tokens of every kind."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from httpx import Response
from starlette.exceptions import StarletteDeprecationWarning
from starlette.routing import BaseRoute

from app.access import Person, Right, Role, Tokens
from app.services.services import Services
from app.store.records import Case

with warnings.catch_warnings():
    # Of the client of this version, which would rather have another library.
    warnings.simplefilter("ignore", StarletteDeprecationWarning)
    from starlette.testclient import TestClient

ADMIN = Person("ada", frozenset({Role.ADMIN}))


@dataclass(frozen=True)
class House:
    """An installation: its services, its cases by name, its routes, and a client that asks them."""

    services: Services
    cases: dict[str, Case]
    routes: Sequence[BaseRoute]
    client: TestClient

    def token(self, case: str, *rights: Right, person: Person = ADMIN) -> str:
        """Of a person; for a case by its id."""
        return self.services.tokens.grant(person, frozenset(rights), case)

    def expired(self, case: str, *rights: Right) -> str:
        """As it was good eleven minutes ago."""
        then = self.services.tokens.clock() - 660.0
        return Tokens(self.services.tokens.secret, lambda: then).grant(ADMIN, frozenset(rights), case)

    def ask(self, path: str, token: str | None, method: str = "GET", **more: Any) -> Response:
        """Ask, with a token in the header where there is one."""
        headers = more.pop("headers", {}) | ({} if token is None else {"Authorization": f"Bearer {token}"})
        return self.client.request(method, path, headers=headers, **more)

    def look(self, name: str, path: str, **more: Any) -> Response:
        """GET something of a case, as who may see it."""
        case = self.cases[name].id
        return self.ask(f"/api/cases/{case}/{path}", self.token(case, Right.LOOK), **more)
