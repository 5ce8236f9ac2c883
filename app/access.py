"""Who may do what: roles, people, and the signed tokens by which a page lets a browser fetch a study's pixels.

A page knows who looks at it; a route that serves pixels does not. So the page gives the browser a token that names the
person, the case and what it is for, signed with a secret of this installation and good for minutes.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from itsdangerous import BadSignature, URLSafeSerializer

TOKEN_S = 600.0
_SALT = "denselens study token"


class Role(StrEnum):
    """What somebody is here for; one may be several."""

    READER = "reader"
    RESEARCHER = "researcher"
    OPERATOR = "operator"
    ADMIN = "admin"


class Right(StrEnum):
    """What there is to be allowed."""

    LIST = "list"  # the worklist, without pixels
    LOOK = "look"  # pixels, masks, maps and results of a case
    DECIDE = "decide"  # claim, review, edit
    EXPORT = "export"  # reports of a case, with its reviews
    UPLOAD = "upload"
    RESEARCH = "research"  # reader studies, monitoring, models
    MANAGE = "manage"  # what others claimed, the audit log


_RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.READER: frozenset({Right.LIST, Right.LOOK, Right.DECIDE, Right.EXPORT, Right.UPLOAD}),
    Role.RESEARCHER: frozenset({Right.LIST, Right.LOOK, Right.RESEARCH}),
    Role.OPERATOR: frozenset({Right.LIST, Right.UPLOAD}),
    Role.ADMIN: frozenset(Right),
}


class Denied(Exception):
    """Somebody may not do what they asked for.

    Attributes:
        known: Whether it is known who asks: 403 where it is, 401 where it is not.
    """

    def __init__(self, told: str, *, known: bool) -> None:
        super().__init__(told)
        self.known = known


@dataclass(frozen=True)
class Person:
    """Who looks at a page.

    Attributes:
        name: What the login says; stands in reviews and in the log.
        roles: At least one, or nothing is allowed.
        until: When the login ends, seconds since 1970; None where it does not.
    """

    name: str
    roles: frozenset[Role]
    until: float | None = None

    def may(self, right: Right) -> bool:
        """Whether one of the roles allows it."""
        return any(right in _RIGHTS[role] for role in self.roles)

    def require(self, right: Right) -> None:
        """Go on only where it is allowed.

        Raises:
            Denied: It is not.
        """
        if not self.may(right):
            raise Denied(f"{right.value} is not allowed to {', '.join(sorted(self.roles)) or 'nobody'}", known=True)


def roles_of(claim: object) -> frozenset[Role]:
    """The roles a claim names: a list, or words with blanks or commas between; words that are none are ignored."""
    words = claim.replace(",", " ").split() if isinstance(claim, str) else claim
    if not isinstance(words, Sequence):
        return frozenset()
    known = {role.value: role for role in Role}
    return frozenset(known[word] for word in words if isinstance(word, str) and word in known)


@dataclass(frozen=True)
class Grant:
    """What a token says.

    Attributes:
        person: Who.
        rights: What for.
        case: Id of the one case it is good for; "" where it is for no case.
        until: When it ends, seconds since 1970.
    """

    person: str
    rights: frozenset[Right]
    case: str
    until: float


@dataclass(frozen=True)
class Tokens:
    """Makes and reads tokens.

    Attributes:
        secret: Of the installation, at least 32 characters; who knows it may see everything.
        clock: Seconds since 1970.
    """

    secret: str
    clock: Callable[[], float] = time.time

    def grant(self, person: Person, rights: frozenset[Right], case: str = "", seconds: float = TOKEN_S) -> str:
        """A token for one person, one case and some rights, which never outlives the login.

        Raises:
            Denied: The person has not all of these rights.
        """
        for right in sorted(rights):
            person.require(right)
        until = self.clock() + seconds
        if person.until is not None:
            until = min(until, person.until)
        said = {"p": person.name, "r": sorted(rights), "c": case, "u": round(until, 3)}
        return str(self._signer().dumps(said))

    def read(self, token: str, right: Right, case: str = "") -> Grant:
        """What a token says, where it is genuine, not over, and for this right and case.

        Raises:
            Denied: It is not.
        """
        try:
            said = self._signer().loads(token)
            grant = Grant(str(said["p"]), frozenset(Right(r) for r in said["r"]), str(said["c"]), float(said["u"]))
        except (BadSignature, ValueError, KeyError, TypeError) as error:
            raise Denied("no token of this installation", known=False) from error
        if grant.until <= self.clock():
            raise Denied("the token is over", known=False)
        if right not in grant.rights:
            raise Denied(f"the token is not for {right.value}", known=True)
        if grant.case != case:
            raise Denied("the token is for another case", known=True)
        return grant

    def _signer(self) -> URLSafeSerializer:
        return URLSafeSerializer(self.secret, salt=_SALT)
