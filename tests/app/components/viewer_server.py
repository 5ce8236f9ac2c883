"""A server that keeps the viewer's HTTP contract over arrays, and a page that mounts the viewer as Streamlit does."""

import contextlib
import gzip
import hashlib
import io
import json
import re
import threading
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.components import viewer
from app.services.view import View

TOKEN = "token-1"
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
POLICY = (
    "default-src 'self'; script-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
    "worker-src 'self' blob:; connect-src 'self' blob: data:"
)
PAGE = """<!doctype html><html lang="en"><title>viewer</title>
<style>body { margin: 8px; background: #0e1117; }</style><main></main><script src="/page.js"></script></html>"""
SCRIPT = """
const text = async (path) => (await fetch(path)).text();
const start = async () => {
  const [css, js, html] = await Promise.all(["/viewer.css", "/bootstrap.js", "/viewer.html"].map(text));
  const { default: component } = await import(URL.createObjectURL(new Blob([js], { type: "text/javascript" })));
  return { component, inside: `<style>${css}</style>${html}` };
};
const started = start();
const setTriggerValue = (name, value) => window.events.push([name, value]);
let shadow = null;
window.unmount = null;
window.fresh = async () => {
  window.unmount = null;
  window.events = [];
  const host = document.createElement("div");
  document.querySelector("main").replaceChildren(host);
  shadow = host.attachShadow({ mode: "open" });
  shadow.innerHTML = (await started).inside;
};
window.show = async (data) => {
  const { component } = await started;
  window.unmount = component({ parentElement: shadow, data, key: "viewer", setTriggerValue, setStateValue: () => {} });
};
window.root = () => shadow.querySelector(".denselens-viewer");
window.viewer = () => window.root()?.denselens;
"""


@dataclass
class Case:
    """A study as the server holds it; arrays are (slices, rows, columns)."""

    view: View
    image: NDArray[Any] | None = None
    labels: NDArray[np.uint8] | None = None
    heats: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    masks: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    regions: dict[str, Any] = field(default_factory=lambda: {"type": "FeatureCollection", "features": []})
    token: str = TOKEN
    delay_s: float = 0.0
    refuses: dict[str, int] = field(default_factory=dict)
    packed: dict[str, bytes] = field(default_factory=dict)
    levels: dict[int, Image.Image] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)


class Server(ThreadingHTTPServer):
    """Cases by their ids."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cases: dict[str, Case] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, name: str, case: Case) -> str:
        self.cases[name] = case
        return f"/api/cases/{name}"


class Handler(BaseHTTPRequestHandler):
    """One request; every answer about a case asks for the token."""

    protocol_version = "HTTP/1.1"
    server: Server

    def handle(self) -> None:
        """A page that is closed breaks its connections off."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        pages = {
            "/": (PAGE.encode(), "text/html"),
            "/page.js": (SCRIPT.encode(), "text/javascript"),
            "/viewer.css": ((viewer.ASSETS / "viewer" / "viewer.css").read_bytes(), "text/css"),
            "/bootstrap.js": (viewer._BOOTSTRAP.encode(), "text/javascript"),
            "/viewer.html": (viewer._HTML.encode(), "text/html"),
            "/favicon.ico": (b"", "image/x-icon"),
        }
        if self.path in pages:
            self._send(*pages[self.path])
        elif self.path.startswith("/assets/"):
            file = viewer.ASSETS / self.path.removeprefix("/assets/")
            self._send(file.read_bytes(), TYPES.get(file.suffix, "application/octet-stream"))
        else:
            self._case()

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        case = self._allowed("mask")
        if case is None:
            return
        if self.headers["If-Match"] != case.view.result_sha256:
            self._refuse(HTTPStatus.PRECONDITION_FAILED, "The result changed.")
            return
        assert self.headers["Content-Encoding"] == "gzip"
        assert case.image is not None
        voxels = np.frombuffer(gzip.decompress(body), np.uint8).reshape(case.image.shape[:3])
        before = case.labels if case.labels is not None else np.zeros_like(voxels)
        name = f"mask-{len(case.masks) + 1}"
        case.masks[name] = voxels
        told = {
            "mask": name,
            "sha256": hashlib.sha256(voxels.tobytes()).hexdigest(),
            "changed_voxels": int((voxels != before).sum()),
            "volumes_ml": {},
        }
        self._send(json.dumps(told).encode(), "application/json")

    def _allowed(self, what: str) -> Case | None:
        case = self.server.cases[self.path.split("/")[3]]
        case.asked.append((self.command, what, self.headers.get("Range", "")))
        if self.headers.get("Authorization") != f"Bearer {case.token}":
            self._refuse(HTTPStatus.FORBIDDEN, "")
            return None
        if what in case.refuses:
            self._refuse(case.refuses[what], "")
            return None
        return case

    def _case(self) -> None:
        what = self.path.split("/", 4)[4]
        case = self._allowed(what)
        if case is None:
            return
        if what == "image":
            self._image(case)
        elif what == "slide":
            self._send(json.dumps(self._slide(case)).encode(), "application/json")
        elif what == "regions":
            self._send(json.dumps(case.regions).encode(), "application/json")
        elif what.startswith("tiles/"):
            self._tile(case, what)
        elif what == "slide-heat.png":
            self._send(_png(case.heats[0]), "image/png")
        else:
            self._voxels(case, what)

    def _voxels(self, case: Case, what: str) -> None:
        kind, _, name = what.partition("/")
        found = {"labels": case.labels, "masks": case.masks.get(name)}.get(kind)
        if kind == "heat":
            found = case.heats.get(int(name))
        if found is None:
            self._refuse(HTTPStatus.NOT_FOUND, "")
        else:
            if what not in case.packed:
                case.packed[what] = gzip.compress(found.tobytes(), 1)
            self._send(case.packed[what], "application/octet-stream", encoding="gzip")

    def _image(self, case: Case) -> None:
        assert case.image is not None
        body = memoryview(np.ascontiguousarray(case.image)).cast("B")
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None:
            self._send(body, "application/octet-stream")
            return
        start, end = int(asked[1]), int(asked[2]) + 1
        if case.delay_s:
            threading.Event().wait(case.delay_s)
        self._send(
            body[start:end],
            "application/octet-stream",
            status=HTTPStatus.PARTIAL_CONTENT,
            extra={"Content-Range": f"bytes {start}-{end - 1}/{len(body)}"},
        )

    def _slide(self, case: Case) -> dict[str, Any]:
        columns, rows, _ = case.view.shape
        assert case.view.mpp is not None
        level = int(np.ceil(np.log2(max(columns, rows))))
        return {"width": columns, "height": rows, "tile_size": 256, "mpp": list(case.view.mpp), "max_level": level}

    def _tile(self, case: Case, what: str) -> None:
        assert case.image is not None
        level, column, row = (int(part) for part in re.findall(r"\d+", what))
        columns, rows, _ = case.view.shape
        if level not in case.levels:
            shrink = 2 ** (self._slide(case)["max_level"] - level)
            case.levels[level] = Image.fromarray(case.image).resize((-(-columns // shrink), -(-rows // shrink)))
        whole = case.levels[level]
        box = (column * 256, row * 256, min(whole.width, column * 256 + 256), min(whole.height, row * 256 + 256))
        file = io.BytesIO()
        whole.crop(box).save(file, "JPEG", quality=90)
        self._send(file.getvalue(), "image/jpeg")

    def _refuse(self, status: int, message: str) -> None:
        told = {"code": "refused", "message": message}
        self._send(json.dumps(told).encode(), "application/json", status=status)

    def _send(
        self,
        body: bytes | memoryview,
        kind: str,
        *,
        status: int = 200,
        encoding: str = "",
        extra: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Content-Security-Policy": POLICY}
        headers |= {"Content-Encoding": encoding} if encoding else {}
        for name, value in (headers | (extra or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def request_data(base: str, case: Case, **options: object) -> dict[str, Any]:
    """What the page hands to the viewer."""
    request = viewer.ViewerRequest(base=base, token=case.token, view=case.view, editable=True)
    return asdict(request) | {"view": case.view.model_dump(mode="json")} | options


def _png(rgba: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "PNG")
    return file.getvalue()
