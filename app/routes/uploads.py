"""Uploads over HTTP: files as streams, a look at what came, and cancelling; each upload behind a token of its own."""

from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.access import Denied, Right
from app.routes.guard import denied, granted, refusal
from app.services.services import Services
from app.services.uploads import UploadRefused

_STATUS = {"too_large": 413, "too_many_files": 413, "bad_name": 422, "name_taken": 409, "no_such_upload": 404}
_HEADERS = {"Cache-Control": "no-store"}
# Written at once: the loop that serves everybody does not wait for the disk.
_PIECE_BYTES = 2**20

Answer = Callable[[Services, Request, str], Awaitable[Response]]


def upload_routes(services: Services) -> list[Route]:
    """The routes of `/api/uploads/{upload}`."""
    return [
        Route("/api/uploads/{upload}", _asked(services, _discard), methods=["DELETE"]),
        Route("/api/uploads/{upload}/done", _asked(services, _done), methods=["POST"]),
        Route("/api/uploads/{upload}/{name:path}", _asked(services, _take), methods=["PUT"]),
    ]


def _asked(services: Services, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def asked(request: Request) -> Response:
        upload = str(request.path_params["upload"])
        try:
            # Before anything is read of what somebody sends. Ids of cases and of uploads look alike.
            granted(services, request, Right.UPLOAD, f"upload:{upload}")
            return await answer(services, request, upload)
        except Denied as error:
            return denied(error)
        except UploadRefused as error:
            if error.code in ("too_large", "too_many_files"):
                await run_in_threadpool(services.uploads.discard, upload)
            return refusal(_STATUS[error.code], error.code, str(error))

    return asked


async def _take(services: Services, request: Request, upload: str) -> Response:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > services.uploads.most_bytes:
        raise UploadRefused("too_large", f"an upload holds at most {services.uploads.most_bytes / 1e6:.0f} MB")
    with services.uploads.receiving(upload, str(request.path_params["name"])) as incoming:
        waiting = bytearray()
        async for piece in request.stream():
            waiting += piece
            if len(waiting) >= _PIECE_BYTES:
                await run_in_threadpool(incoming.write, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(incoming.write, bytes(waiting))
    return JSONResponse({"bytes": incoming.size_bytes}, 201, headers=_HEADERS)


async def _done(services: Services, request: Request, upload: str) -> Response:
    del request
    found = await run_in_threadpool(services.uploads.inspect, upload)
    return JSONResponse(found.model_dump(mode="json"), headers=_HEADERS)


async def _discard(services: Services, request: Request, upload: str) -> Response:
    del request
    await run_in_threadpool(services.uploads.discard, upload)
    return Response(status_code=204, headers=_HEADERS)
