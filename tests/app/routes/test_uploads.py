"""Uploads: what comes is whole or not there, is looked at before it is scored, and is deleted where nobody wants it."""

import asyncio
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from httpx import Response
from PIL import Image as Picture

from app.access import Person, Right, Role
from app.services.uploads import UploadRefused
from app.store.audit_log import AuditLog
from app.store.queue import Queue
from datasets.io.dicom_ct import CtSeriesOptions, write_ct_series
from datasets.io.nifti import write_nifti
from datasets.io.slide_tiff import PyramidOptions, write_pyramid_tiff
from datasets.phantoms import ct_phantom, film_phantom, slide_phantom
from tests.app.planted import COARSE
from tests.app.routes.asking import House


@pytest.fixture
def upload(house: House) -> Iterator[str]:
    name = house.services.uploads.begin()
    yield name
    house.services.uploads.discard(name)


def ask(house: House, upload: str, path: str, method: str, **more: Any) -> Response:
    token = house.token(f"upload:{upload}", Right.UPLOAD)
    return house.ask(f"/api/uploads/{upload}{path}", token, method, **more)


def put(house: House, upload: str, name: str, content: Any) -> Response:
    return ask(house, upload, f"/{name}", "PUT", content=content)


def done(house: House, upload: str) -> dict[str, Any]:
    answer = ask(house, upload, "/done", "POST")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def left(house: House, upload: str) -> list[str]:
    """Everything that lies about of an upload, hidden or not."""
    data = house.services.settings.data
    folders = (data / "arriving" / upload, data / "uploads" / upload)
    return [path.name for folder in folders for path in folder.rglob("*") if path.is_file()]


def film() -> bytes:
    pixels = film_phantom(3).image(256).array[0, :, :, 0].T
    into = io.BytesIO()
    Picture.fromarray(np.ascontiguousarray(pixels)).save(into, "PNG")
    return into.getvalue()


def ct_zip(folder: Path) -> bytes:
    write_ct_series(ct_phantom(7).image(COARSE), folder, CtSeriesOptions(study="uploaded"))
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"series/{path.name}")
    return into.getvalue()


def zipped(**members: bytes) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return into.getvalue()


def test_a_zip_of_a_ct(house: House, upload: str, tmp_path: Path) -> None:
    packed = ct_zip(tmp_path / "ct")
    answer = put(house, upload, "study.zip", packed)
    assert (answer.status_code, answer.json()) == (201, {"bytes": len(packed)})
    told = done(house, upload)
    assert (told["files"], told["size_bytes"], told["refusal"]) == (1, len(packed), None)
    (study,) = told["studies"]
    (series,) = study["series"]
    assert (series["modality"], series["images"], series["refusal"]) == ("CT", COARSE.shape[2], None)
    assert study["choices"]["liver_ct"] is None
    assert study["choices"]["chest_xray"]["code"] == "wrong_modality"
    assert str(house.services.settings.data) not in json.dumps(told)


def test_a_folder_of_dicom_files(house: House, upload: str, tmp_path: Path) -> None:
    write_ct_series(ct_phantom(7).image(COARSE), tmp_path, CtSeriesOptions(study="folder"))
    files = sorted(tmp_path.iterdir())
    for path in files:
        assert put(house, upload, f"Study%201/CT/{path.name}", path.read_bytes()).status_code == 201
    told = done(house, upload)
    assert told["files"] == len(files) == COARSE.shape[2]
    assert [one["series"][0]["images"] for one in told["studies"]] == [len(files)]


def test_nifti_film_and_slide_together(house: House, upload: str, tmp_path: Path) -> None:
    write_nifti(ct_phantom(7).image(COARSE), tmp_path / "liver.nii.gz")
    slide = slide_phantom(5, (700.0, 600.0))
    write_pyramid_tiff(slide, tmp_path / "slide.tiff", 2.0, PyramidOptions())
    (tmp_path / "film.png").write_bytes(film())
    for path in tmp_path.iterdir():
        put(house, upload, path.name, path.read_bytes())
    told = done(house, upload)
    found = {study["uid"]: study for study in told["studies"]}
    assert set(found) == {"liver", "slide", "film"}
    assert all(study["refusal"] is None for study in found.values())
    for name, task in (("liver", "liver_ct"), ("slide", "histopathology"), ("film", "chest_xray")):
        assert found[name]["choices"][task] is None


def test_a_film_is_scored_from_where_it_was_put(house: House, upload: str) -> None:
    put(house, upload, "film.png", film())
    uploads, database = house.services.uploads, house.services.database
    with pytest.raises(UploadRefused):
        uploads.accept(database, upload, "chest_xray", "anna")
    done(house, upload)
    with pytest.raises(UploadRefused):
        uploads.accept(database, upload, "no_such_task", "anna")
    job = uploads.accept(database, upload, "chest_xray", "anna")
    data = house.services.settings.data.resolve()
    assert job.payload["input"] == str(data / "uploads" / upload)
    assert job.payload["out"] == str(data / "results" / upload)
    assert (data / "uploads" / upload / "film.png").read_bytes() == film()
    assert left(house, upload) == ["film.png"]
    assert [one.id for one in uploads.jobs(database)] == [job.id]
    line = AuditLog(database).entries()[-1]
    assert (line.who, line.action, line.subject) == ("anna", "upload", f"upload:{upload}")
    assert line.detail == {"task": "chest_xray", "files": 1, "bytes": len(film()), "studies": 1}
    # What was accepted is complete.
    assert put(house, upload, "more.png", film()).status_code == 404
    assert ask(house, upload, "", "DELETE").status_code == 204
    assert left(house, upload) == ["film.png"]
    assert Queue(database).get(job.id).status == "queued"


REFUSED = {
    "bomb": ("study.zip", zipped(bomb=bytes(80_000_000)), "unsafe_archive"),
    "leads outside": ("study.zip", zipped(**{"../../escaped.dcm": b"DICM"}), "unsafe_archive"),
    "no image": ("film.png", b"this is no film", "unreadable_file"),
    "cut": ("film.png", film()[:2000], "truncated_file"),
    "a program": ("run.sh", b"#!/bin/sh\ntouch /tmp/executed\n", "empty_input"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_used_is_told_and_deleted(house: House, upload: str, kind: str) -> None:
    name, content, code = REFUSED[kind]
    assert len(content) < 1_000_000
    assert put(house, upload, name, content).status_code == 201
    told = done(house, upload)
    notes = [told["refusal"], *(series["refusal"] for study in told["studies"] for series in study["series"])]
    codes = {note["code"] for note in notes if note}
    assert codes, told
    assert code in codes or kind in {"cut", "a program"}
    assert left(house, upload) == [".inspection.json"]
    assert not list(house.services.settings.data.rglob("escaped.dcm"))
    found = house.services.uploads.inspected(upload)
    assert found is not None
    assert not found.usable


def test_more_than_there_may_be_leaves_nothing(house: House, upload: str) -> None:
    """4 MB here: told at once where it is announced, and counted where it is not, over all files."""
    assert house.services.uploads.most_bytes == 4_000_000
    assert put(house, upload, "large.dcm", bytes(4_000_001)).status_code == 413
    assert left(house, upload) == []
    assert put(house, upload, "first.dcm", bytes(2_500_000)).status_code == 201

    def unannounced() -> Iterator[bytes]:
        for _ in range(16):
            yield bytes(100_000)

    answer = put(house, upload, "second.dcm", unannounced())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert left(house, upload) == []
    assert put(house, upload, "again.dcm", bytes(3_900_000)).status_code == 201


def test_an_upload_that_breaks_off_leaves_nothing(house: House, upload: str) -> None:
    token, sent, seen = house.token(f"upload:{upload}", Right.UPLOAD), [], []
    path = f"/api/uploads/{upload}/slice.dcm"
    scope = {
        "type": "http",
        "method": "PUT",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode())],
    }
    arriving = iter(
        [{"type": "http.request", "body": bytes(2_000_000), "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> Any:
        seen.append(left(house, upload))
        return next(arriving)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(house.client.app(scope, receive, send))  # type: ignore[arg-type]
    assert sent == []
    # It was on the disk, and never under its name.
    assert [name[:9] for name in seen[-1]] == [".partial-"]
    assert left(house, upload) == []
    assert not (house.services.settings.data / "arriving" / upload).exists()
    # What was given back may be sent.
    assert put(house, upload, "slice.dcm", bytes(3_900_000)).status_code == 201


def test_two_uploads_at_once(house: House) -> None:
    uploads = house.services.uploads
    names = [uploads.begin() for _ in range(2)]
    in_step = threading.Barrier(2)

    def send(name: str) -> None:
        with uploads.receiving(name, "slice.dcm") as incoming:
            for _ in range(30):
                in_step.wait(10)
                incoming.write(name[:10].encode() * 10_000)

    threads = [threading.Thread(target=send, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for name in names:
        # Together they are more than one may hold.
        assert (uploads.folder / "arriving" / name / "slice.dcm").read_bytes() == name[:10].encode() * 300_000
        uploads.discard(name)
        assert left(house, name) == []


def test_a_name_is_taken_once(house: House, upload: str) -> None:
    assert put(house, upload, "a/film.png", film()).status_code == 201
    again = put(house, upload, "a/film.png", b"another")
    assert (again.status_code, again.json()["code"]) == (409, "name_taken")
    assert (house.services.uploads.folder / "arriving" / upload / "a" / "film.png").read_bytes() == film()
    # A file where a folder would have to be.
    assert put(house, upload, "a/film.png/b.png", film()).status_code == 409


@pytest.mark.parametrize(
    "name", ["..%2f..%2fsecret", "%2e%2e%2f%2e%2e%2fsecret", "%2fetc%2fpasswd", "a%00b", "..%5csecret"]
)
def test_no_route_leads_elsewhere(house: House, upload: str, name: str) -> None:
    before = (house.services.settings.data / "secret").read_bytes()
    assert put(house, upload, name, b"mine now").status_code in {404, 422}
    assert (house.services.settings.data / "secret").read_bytes() == before
    assert left(house, upload) == []


def test_cancelling_deletes(house: House, upload: str) -> None:
    put(house, upload, "film.png", film())
    assert ask(house, upload, "", "DELETE").status_code == 204
    assert left(house, upload) == []
    assert ask(house, upload, "/done", "POST").status_code == 404


@pytest.mark.parametrize("name", ["..", "x", "ab" * 15, "AB" * 16, "ab" * 16 + "%2f.."])
def test_ids_are_ids(house: House, name: str) -> None:
    answer = house.ask(
        f"/api/uploads/{name}/film.png", house.token(f"upload:{name}", Right.UPLOAD), "PUT", content=b"x"
    )
    assert answer.status_code in {401, 403, 404}


def test_who_may_not_upload(house: House, upload: str) -> None:
    person = Person("rosa", frozenset({Role.RESEARCHER}))
    token = house.token(f"upload:{upload}", Right.LIST, Right.LOOK, person=person)
    for method, path in (("PUT", "/film.png"), ("POST", "/done"), ("DELETE", "")):
        assert house.ask(f"/api/uploads/{upload}{path}", token, method).status_code == 403
    # Nor with the token of a case whose id is the same.
    case = house.token(upload, Right.UPLOAD)
    assert house.ask(f"/api/uploads/{upload}/film.png", case, "PUT", content=film()).status_code == 403
    assert left(house, upload) == []


def test_what_was_left_is_deleted_after_a_day(house: House, upload: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(house, upload, "film.png", film())
    house.services.uploads.begin()
    assert left(house, upload) == ["film.png"]
    monkeypatch.setattr("app.services.uploads._STALE_S", -1.0)
    house.services.uploads.begin()
    assert left(house, upload) == []
