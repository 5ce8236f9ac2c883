"""All routes of an installation, and what is put around them."""

from collections.abc import Sequence
from pathlib import Path

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from app.routes.exports import export_routes
from app.routes.headers import SafeHeaders
from app.routes.incidents import Incidents
from app.routes.news import news_routes
from app.routes.pixels import pixel_routes
from app.routes.slides import slide_routes
from app.routes.uploads import upload_routes
from app.services.services import Services

# Scripts, styles and libraries that ship: the only files here that anybody may have.
ASSETS = Path(__file__).resolve().parents[1] / "components" / "assets"


def all_routes(services: Services) -> list[BaseRoute]:
    """What the page's server answers beside the pages."""
    return [
        *pixel_routes(services),
        *slide_routes(services),
        *export_routes(services),
        *news_routes(services),
        *upload_routes(services),
        Route("/api/health", _health, methods=["GET"]),
        Mount("/assets", StaticFiles(directory=ASSETS)),
    ]


def around(scripts: Sequence[str] = ()) -> list[Middleware]:
    """What every answer passes through.

    Args:
        scripts: Hashes of inline scripts of Streamlit's own page.
    """
    # Headers outside: an answer about a bug has them too.
    return [Middleware(SafeHeaders, scripts=scripts), Middleware(Incidents)]


def _health(request: Request) -> Response:
    del request
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})
