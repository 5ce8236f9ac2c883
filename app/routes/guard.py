"""What every route asks first: who wants what of which case. Answers are JSON of a code and a sentence."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.access import Denied, Grant, Right
from app.services.reading import assignment_of
from app.services.services import Services
from app.services.viewing import MaskRefused
from app.store.cases import Cases, NoSuchCase
from app.store.records import Case
from datasets.errors import DenseLensError, InputRefused

_SCHEME = "bearer "
_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True)
class Asked:
    """A request that is allowed.

    Attributes:
        services: Of the installation.
        request: As it came.
        case: That it is about.
        grant: Who asks, and for what.
    """

    services: Services
    request: Request
    case: Case
    grant: Grant


Answer = Callable[[Asked], Response]


def refusal(status: int, code: str, message: str) -> JSONResponse:
    """An answer that says why there is no other."""
    return JSONResponse({"code": code, "message": message}, status, headers=_NO_STORE)


def granted(services: Services, request: Request, right: Right, case: str = "") -> Grant:
    """What the request's token allows.

    Raises:
        Denied: There is none, or it is not for this.
    """
    said = request.headers.get("authorization", "")
    if not said.lower().startswith(_SCHEME):
        raise Denied("no token", known=False)
    return services.tokens.read(said[len(_SCHEME) :].strip(), right, case)


def denied(error: Denied) -> JSONResponse:
    """401 where it is not known who asks, 403 where it is."""
    return refusal(403 if error.known else 401, "denied", str(error))


def answered(services: Services, request: Request, right: Right, answer: Answer) -> Response:
    """What is said to a request about one case, `{case}` of its path, which the token has to name.

    Args:
        services: Of the installation.
        request: With its token.
        right: That the token has to give.
        answer: Called for a case that is there.
    """
    wanted = str(request.path_params["case"])
    try:
        # Before anything is looked up: who may not see a case does not learn whether it is there.
        grant = granted(services, request, right, wanted)
        return answer(Asked(services, request, Cases(services.database).get(wanted), grant))
    except Denied as error:
        return denied(error)
    except NoSuchCase:
        return refusal(404, "no_such_case", "there is no such case")
    except MaskRefused as error:
        return refusal(422, "mask_refused", str(error))
    except InputRefused as error:
        return refusal(409, error.code.value, error.message)
    except DenseLensError as error:
        return refusal(409, "error", error.message)


def case_route(services: Services, path: str, right: Right, answer: Answer, *, of_network: bool = False) -> Route:
    """GET of `/api/cases/{case}/` and a path.

    Args:
        services: Of the installation.
        path: Behind the case.
        right: That the token has to give.
        answer: Called for a case that is there.
        of_network: Whether it tells what the network said, which readers of a study without its help do not see.
    """

    def helped(asked: Asked) -> Response:
        if of_network:
            reading = assignment_of(services.database, asked.case.id, asked.grant.person)
            if reading is not None and reading.arm == "unaided":
                raise Denied("you read this case without the network's help", known=True)
        return answer(asked)

    def asked(request: Request) -> Response:
        return answered(services, request, right, helped)

    return Route(f"/api/cases/{{case}}/{path}", asked, methods=["GET"])


async def body_of(request: Request, most_bytes: int) -> bytes | None:
    """What was sent; None where it is more than there may be, and then no more of it is read."""
    pieces = bytearray()
    async for piece in request.stream():
        pieces += piece
        if len(pieces) > most_bytes:
            return None
    return bytes(pieces)
