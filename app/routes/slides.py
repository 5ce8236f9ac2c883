"""Tiles of slides and what was found on them."""

from pathlib import Path

from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from app.access import Right
from app.routes.guard import Asked, case_route, refusal
from app.services.intake import read_result
from app.services.services import Services
from app.services.slide_tiles import NoSuchTile, heat_layer

# The browser's own copy is for the same token alone: others may sit at the same machine next.
_HEADERS = {"Cache-Control": "private, max-age=600", "Vary": "Authorization", "X-Content-Type-Options": "nosniff"}


def slide_routes(services: Services) -> list[Route]:
    """The routes of `/api/cases/{case}/` that show slides."""
    look = Right.LOOK
    return [
        case_route(services, "slide", look, _layout),
        case_route(services, "tiles/{level:int}/{column:int}_{row:int}.jpeg", look, _tile),
        case_route(services, "slide-heat.png", look, _heat, of_network=True),
        case_route(services, "regions", look, _regions, of_network=True),
    ]


def _layout(asked: Asked) -> Response:
    return JSONResponse(asked.services.tiles.layout(asked.case).model_dump(mode="json"), headers=_HEADERS)


def _tile(asked: Asked) -> Response:
    level, column, row = (int(asked.request.path_params[name]) for name in ("level", "column", "row"))
    try:
        picture = asked.services.tiles.tile(asked.case, level, column, row)
    except NoSuchTile as error:
        return refusal(404, "no_such_tile", str(error))
    return Response(picture, media_type="image/jpeg", headers=_HEADERS)


def _heat(asked: Asked) -> Response:
    return Response(heat_layer(asked.case), media_type="image/png", headers=_HEADERS)


def _regions(asked: Asked) -> Response:
    result, _ = read_result(Path(asked.case.folder))
    path = Path(asked.case.folder) / Path(result.outputs.get("regions", "")).name
    if not path.is_file():
        return refusal(404, "no_such_layer", "no regions were outlined")
    return FileResponse(path, media_type="application/geo+json", headers=_HEADERS)
