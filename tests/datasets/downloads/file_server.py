"""A web server for tests, that misbehaves when it is told to."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FileServer:
    """What it has, how it behaves, and what it was asked.

    Attributes:
        url: Where it is.
        files: By path.
        redirects: By path, to where.
        broken_after: For each of the next answers, the bytes after which the connection is cut; None for not.
        errors: For each of the next answers, a status to give in their place.
        knows_ranges: Whether it can send parts.
        tells_length: Whether it says how long a file is.
        asked: Path and Range of every request.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    broken_after: list[int | None] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    knows_ranges: bool = True
    tells_length: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path, wanted = handler.path.partition("?")[0], handler.headers["Range"]
        self.asked.append((path, wanted))
        if self.errors:
            handler.send_error(self.errors.pop(0))
        elif path in self.redirects:
            handler.send_response(302)
            handler.send_header("Location", self.redirects[path])
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        elif path not in self.files:
            handler.send_error(404)
        else:
            self._send(handler, self.files[path], wanted)

    def _send(self, handler: BaseHTTPRequestHandler, content: bytes, wanted: str | None) -> None:
        start = 0
        if wanted is not None and self.knows_ranges:
            match = re.fullmatch(r"bytes=(\d+)-", wanted)
            assert match is not None
            start = int(match[1])
            if start >= len(content):
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{len(content)}")
                handler.send_header("Content-Length", "0")
                handler.end_headers()
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            handler.send_response(200)
        if self.tells_length:
            handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        cut = self.broken_after.pop(0) if self.broken_after else None
        handler.wfile.write(content[start:] if cut is None else content[start : start + cut])
        handler.close_connection = True


@contextmanager
def serving() -> Iterator[FileServer]:
    """A server on this machine for the length of a block."""
    told = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.answer(self)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
