"""The guard of this door: a bug costs one answer, which tells a number and nothing else of it."""

import logging
import secrets

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOG = logging.getLogger(__name__)


class Incidents:
    """Middleware that answers 500 with the number under which the log tells what happened."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            # Nobody is there to be answered.
            return
        except Exception:
            incident = secrets.token_hex(4)
            _LOG.exception("incident %s", incident)
            if begun:
                raise
            told = {"code": "internal_error", "message": f"this should not happen: incident {incident} in the log"}
            await JSONResponse(told, 500, headers={"Cache-Control": "no-store"})(scope, receive, send)
