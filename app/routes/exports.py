"""What is handed out of a case: exports, and pictures of its explanation maps."""

from pathlib import Path

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from app.access import Denied, Right
from app.routes.guard import Asked, case_route, refusal
from app.services.exports.exporting import KINDS, exported
from app.services.intake import read_result
from app.services.reading import is_blinded
from app.services.services import Services

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def export_routes(services: Services) -> list[Route]:
    """The routes of `/api/cases/{case}/` that hand files out."""
    return [
        case_route(services, "exports/{kind}", Right.EXPORT, _export),
        case_route(services, "explanations/{number:int}", Right.LOOK, _explanation, of_network=True),
    ]


def _export(asked: Asked) -> Response:
    kind, services = str(asked.request.path_params["kind"]), asked.services
    if kind not in KINDS:
        return refusal(404, "no_such_export", f"there are {', '.join(KINDS)}")
    if is_blinded(services.database, asked.case.id, asked.grant.person):
        raise Denied("what others said is told once all readers of the study have read", known=True)
    made = exported(services.database, services.viewing, asked.case.id, kind, asked.grant.person)
    if made is None:
        return refusal(404, "nothing_to_export", _NOTHING.get(kind, "this case has nothing of that kind"))
    disposition = {"Content-Disposition": f'attachment; filename="{made.name}"'}
    return Response(made.content, media_type=made.media_type, headers=_HEADERS | disposition)


def _explanation(asked: Asked) -> Response:
    result, _ = read_result(Path(asked.case.folder))
    number = int(asked.request.path_params["number"])
    if number < len(result.explanations):
        one = result.explanations[number]
        # A name and not a path: nobody vouches for a document that lies around.
        path = Path(asked.case.folder) / Path(one.files.get("picture", one.file)).name
        if path.suffix == ".png" and path.is_file():
            return FileResponse(path, media_type="image/png", headers=_HEADERS)
    return refusal(404, "no_such_layer", "there is no picture of that map")


_NOTHING = {
    "sr": "a DICOM report refers to DICOM instances, and this study did not come as DICOM",
    "seg": "the segmentation was not edited: the network's own lies beside the result",
}
