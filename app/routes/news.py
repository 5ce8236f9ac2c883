"""Whether a page is still what there is: asked often, and cheap to answer."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.access import Denied, Right
from app.routes.guard import denied, granted
from app.services.news import worklist_state
from app.services.services import Services


def news_routes(services: Services) -> list[Route]:
    """The route of `/api/worklist/state`."""

    def state(request: Request) -> Response:
        try:
            granted(services, request, Right.LIST)
        except Denied as error:
            return denied(error)
        return JSONResponse({"state": worklist_state(services.database)}, headers={"Cache-Control": "no-store"})

    return [Route("/api/worklist/state", state, methods=["GET"])]
