"""The review app as one ASGI application: Streamlit's pages, and our own routes for pixels beside them.

    uvicorn app.asgi:application --host 127.0.0.1

`denselens review` does this, with a worker beside it.
"""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st

from app.routes.all import all_routes, around
from app.services.services import services
from app.settings import Login
from app.views.incident import told

PAGE = Path(__file__).resolve().parent / "streamlit_app.py"


def _own_scripts() -> list[str]:
    """Hashes of the inline scripts of Streamlit's page, which the policy lets run."""
    index = Path(st.__file__).parent / "static" / "index.html"
    found = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", index.read_text(encoding="utf-8"), re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in found)
    return [f"'sha256-{digest}'" for digest in digests]


def _secrets(login: Login | None, cookie_secret: str) -> dict[str, Any]:
    if login is None:
        return {}
    given = {
        "redirect_uri": login.redirect_uri,
        "cookie_secret": cookie_secret,
        "client_id": login.client_id,
        "client_secret": login.client_secret,
        "server_metadata_url": login.metadata_url,
    }
    return {"auth": given}


@asynccontextmanager
async def _open(_app: st.App) -> AsyncIterator[None]:
    yield
    services().close()


def _made() -> st.App:
    here = services()
    return st.App(
        PAGE,
        lifespan=_open,
        routes=all_routes(here),
        middleware=around(_own_scripts()),
        on_script_error=told,
        secrets=_secrets(here.settings.login, here.settings.secret()),
    )


application = _made()
