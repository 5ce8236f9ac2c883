"""Views, volumes, label maps and explanation maps over HTTP, with ranges and conditional answers; masks back."""

from email.utils import formatdate
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from app.access import Denied, Right
from app.routes.guard import Asked, answered, body_of, case_route, denied, granted, refusal
from app.services.services import Services
from app.services.view import IMAGE, LABELS, PreparedView, heat_name
from app.services.viewing import PACKED, MaskRefused
from app.store.audit_log import AuditLog

# A type that nobody compresses on the way: a volume travels as it lies.
_RAW = "application/x-gzip"
_BYTES = "application/octet-stream"
_HEADERS = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
# Of a packed mask: one of 512 x 512 x 1200 voxels with a liver is some 2 MB.
_MOST_MASK_BYTES = 64 * 2**20


def pixel_routes(services: Services) -> list[Route]:
    """The routes of `/api/cases/{case}/` that give and take pixels."""
    look = Right.LOOK
    return [
        case_route(services, "view", look, _view, of_network=True),
        case_route(services, "image", look, _image),
        case_route(services, "labels", look, _labels, of_network=True),
        case_route(services, "heat/{number:int}", look, _heat, of_network=True),
        case_route(services, "masks/{name}", look, _mask, of_network=True),
        _saving(services),
    ]


def file_answer(request: Request, path: Path, *, packed: bool) -> Response:
    """A file, or that the browser has it already.

    Args:
        request: Of which ranges and conditions count.
        path: Of a file whose content never changes under that name.
        packed: Whether it is gzip that the browser is to unpack.
    """
    stat = path.stat()
    tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    headers = _HEADERS | {"ETag": tag, "Last-Modified": formatdate(stat.st_mtime, usegmt=True)}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if packed:
        return FileResponse(path, headers=headers | {"Content-Encoding": "gzip"}, media_type=_BYTES, stat_result=stat)
    return FileResponse(path, headers=headers, media_type=_RAW, stat_result=stat)


def _prepared(asked: Asked) -> PreparedView:
    return asked.services.viewing.prepare(asked.case)


def _view(asked: Asked) -> Response:
    return JSONResponse(_prepared(asked).view.model_dump(mode="json"), headers=_HEADERS)


def _image(asked: Asked) -> Response:
    prepared = _prepared(asked)
    if prepared.view.kind == "slide":
        return refusal(404, "no_such_layer", "a slide comes in tiles")
    return file_answer(asked.request, prepared.folder / IMAGE, packed=False)


def _labels(asked: Asked) -> Response:
    prepared = _prepared(asked)
    if not prepared.view.labels:
        return refusal(404, "no_such_layer", "this case has no segmentation")
    return file_answer(asked.request, prepared.folder / f"{LABELS}{PACKED}", packed=True)


def _heat(asked: Asked) -> Response:
    prepared, number = _prepared(asked), int(asked.request.path_params["number"])
    if prepared.view.kind == "slide" or number >= len(prepared.view.heats) or not prepared.view.heats[number].maps:
        return refusal(404, "no_such_layer", "there is no such map of this case")
    return file_answer(asked.request, prepared.folder / f"{heat_name(number)}{PACKED}", packed=True)


def _mask(asked: Asked) -> Response:
    try:
        path = asked.services.viewing.mask_of(asked.case, str(asked.request.path_params["name"]))
    except MaskRefused as error:
        return refusal(404, "no_such_layer", str(error))
    return file_answer(asked.request, path, packed=True)


def _saving(services: Services) -> Route:
    """PUT of an edited mask: it is kept, and part of the record with the review that names it."""

    async def save(request: Request) -> Response:
        try:
            # Before anything is read of what somebody sends.
            granted(services, request, Right.DECIDE, str(request.path_params["case"]))
        except Denied as error:
            return denied(error)
        packed = await body_of(request, _MOST_MASK_BYTES)
        if packed is None:
            return refusal(413, "too_large", "more was sent than a mask can be")
        return await run_in_threadpool(answered, services, request, Right.DECIDE, lambda asked: _keep(asked, packed))

    return Route("/api/cases/{case}/mask", save, methods=["PUT"])


def _keep(asked: Asked, packed: bytes) -> Response:
    if asked.request.headers.get("if-match", "").strip('"') != _prepared(asked).view.result_sha256:
        return refusal(412, "other_result", "the mask was drawn on another result: open the case again")
    saved = asked.services.viewing.save_mask(asked.case, packed)
    subject, detail = f"case:{asked.case.id}", {"mask": saved.sha256, "changed_voxels": saved.changed_voxels}
    AuditLog(asked.services.database).note(asked.grant.person, "save_mask", subject, detail)
    return JSONResponse(saved.model_dump(mode="json"), headers=_HEADERS)
