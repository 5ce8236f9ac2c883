"""What every answer tells the browser: scripts of our own alone, no frames, no types guessed, no addresses told."""

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Streamlit starts components from a blob, and puts styles into its page.
_POLICY = {
    "default-src": "'self'",
    "script-src": "'self' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}


def policy(scripts: Sequence[str] = ()) -> str:
    """The Content-Security-Policy.

    Args:
        scripts: Hashes of inline scripts that may run, as "'sha256-…'".
    """
    with_hashes = _POLICY | {"script-src": " ".join((_POLICY["script-src"], *scripts))}
    return "; ".join(f"{name} {value}" for name, value in with_hashes.items())


class SafeHeaders:
    """Middleware that puts these headers on every answer."""

    def __init__(self, app: ASGIApp, scripts: Sequence[str] = ()) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": policy(scripts),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, sending)
