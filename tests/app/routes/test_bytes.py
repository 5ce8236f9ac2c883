"""What travels: whole views, parts of them, masks there and back, slides by their tiles."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from httpx import Response
from PIL import Image as Picture

from app.access import Right
from app.routes import pixels
from app.services.intake import read_result
from app.services.source import opened_source
from app.services.view import PreparedView
from app.store.audit_log import AuditLog
from tests.app.planted_slide import HEAT, SIZE_UM
from tests.app.routes.asking import House


@pytest.fixture
def prepared(house: House) -> PreparedView:
    found = house.services.viewing.prepared(house.cases["liver"])
    assert found is not None
    return found


def put_mask(house: House, content: bytes, result: str, name: str = "liver") -> Response:
    case = house.cases[name].id
    token, path = house.token(case, Right.DECIDE), f"/api/cases/{case}/mask"
    return house.ask(path, token, "PUT", content=content, headers={"If-Match": f'"{result}"'})


def test_the_view_is_the_document(house: House, prepared: PreparedView) -> None:
    assert house.look("liver", "view").json() == prepared.view.model_dump(mode="json")


def test_an_image_is_the_file_of_its_view(house: House, prepared: PreparedView) -> None:
    answer = house.look("liver", "image")
    assert answer.content == (prepared.folder / "image.raw").read_bytes()
    assert np.array_equal(np.frombuffer(answer.content, "<i2"), np.asarray(prepared.image()).ravel())
    assert answer.headers["cache-control"] == "private, no-cache"
    # Nothing packs it on the way: parts of it would be parts of something else.
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("said", "first", "last"), [("bytes=0-0", 0, 0), ("bytes=1000-4999", 1000, 4999), ("bytes=-10", -10, -1)]
)
def test_a_part_of_an_image(house: House, prepared: PreparedView, said: str, first: int, last: int) -> None:
    whole = (prepared.folder / "image.raw").read_bytes()
    size = len(whole)
    answer = house.look("liver", "image", headers={"Range": said})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first % size}-{last % size}/{size}"
    assert answer.content == whole[first % size : last % size + 1]


def test_a_part_beyond_the_end(house: House) -> None:
    answer = house.look("liver", "image", headers={"Range": "bytes=99999999-"})
    assert answer.status_code == 416
    assert len(answer.content) < 100


@pytest.mark.parametrize("layer", ["image", "labels", "heat/0"])
def test_what_the_browser_has_is_not_sent_again(house: House, layer: str) -> None:
    tag = house.look("liver", layer).headers["etag"]
    again = house.look("liver", layer, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert house.look("liver", layer, headers={"If-None-Match": '"another"'}).status_code == 200


def test_labels_and_maps_arrive_as_arrays(house: House, prepared: PreparedView) -> None:
    labels, heat = house.look("liver", "labels"), house.look("liver", "heat/0")
    assert labels.headers["content-encoding"] == heat.headers["content-encoding"] == "gzip"
    assert labels.content == np.asarray(prepared.labels()).tobytes()
    assert heat.content == np.asarray(prepared.heat(0)).tobytes()
    assert set(labels.content) == {0, 1, 2}


MISSING = {
    "liver": ("heat/1", "explanations/0", "explanations/9", "exports/zip"),
    "film": ("labels", "heat/0", "slide", "slide-heat.png", "regions"),
    "slide": ("image", "tiles/12/0_0.jpeg", "tiles/11/3_0.jpeg", "tiles/11/0_2.jpeg"),
    "failure": ("view", "image"),
}


@pytest.mark.parametrize(("name", "path"), [(name, path) for name, paths in MISSING.items() for path in paths])
def test_what_is_not_there_is_told(house: House, name: str, path: str) -> None:
    case = house.cases[name].id
    answer = house.ask(f"/api/cases/{case}/{path}", house.token(case, *Right))
    assert answer.status_code in {404, 409}
    assert set(answer.json()) == {"code", "message"}


def test_a_mask_there_and_back(house: House, prepared: PreparedView) -> None:
    edited = np.array(prepared.labels())
    edited[1, 2:4, 3] = 2
    changed = int(np.count_nonzero(edited != np.asarray(prepared.labels())))
    answer = put_mask(house, gzip.compress(edited.tobytes()), prepared.view.result_sha256)
    assert answer.status_code == 200
    assert answer.json()["changed_voxels"] == changed > 0
    back = house.look("liver", f"masks/{answer.json()['mask']}")
    assert back.content == edited.tobytes()
    last = AuditLog(house.services.database).entries()[-1]
    assert (last.who, last.action, last.subject) == ("ada", "save_mask", f"case:{house.cases['liver'].id}")
    assert last.detail["mask"] == answer.json()["sha256"]


def test_a_mask_is_its_case_s_alone(house: House, prepared: PreparedView) -> None:
    """Two scans of one size, and a mask in which nothing is drawn: each has its own, on its own grid."""
    other = house.services.viewing.prepare(house.cases["other"])
    assert other.view.shape == prepared.view.shape
    empty = gzip.compress(np.zeros(prepared.view.shape, np.uint8).tobytes())
    mine = put_mask(house, empty, prepared.view.result_sha256).json()
    theirs = put_mask(house, empty, other.view.result_sha256, "other").json()
    assert mine["sha256"] == theirs["sha256"]
    assert mine["mask"] != theirs["mask"]
    assert house.look("other", f"masks/{theirs['mask']}").status_code == 200
    assert house.look("other", f"masks/{mine['mask']}").status_code == 404


def test_masks_that_are_none(house: House, prepared: PreparedView, monkeypatch: pytest.MonkeyPatch) -> None:
    good = gzip.compress(np.array(prepared.labels()).tobytes())
    masks = house.services.viewing.masks
    before, lines = sorted(masks.glob("*")), AuditLog(house.services.database).head()
    assert put_mask(house, good, "0" * 64).json()["code"] == "other_result"
    assert put_mask(house, good, "0" * 64).status_code == 412
    assert put_mask(house, b"no mask at all", prepared.view.result_sha256).status_code == 422
    monkeypatch.setattr(pixels, "_MOST_MASK_BYTES", len(good) - 1)
    assert put_mask(house, good, prepared.view.result_sha256).status_code == 413
    assert sorted(masks.glob("*")) == before
    assert AuditLog(house.services.database).head() == lines


def test_a_slide_is_the_sum_of_its_tiles(house: House) -> None:
    layout = house.look("slide", "slide").json()
    size = layout["width"], layout["height"]
    assert size == SIZE_UM
    assert (layout["tile_size"], layout["max_level"]) == (512, 11)
    whole = np.zeros((size[1], size[0], 3), np.uint8)
    result, _ = read_result(Path(house.cases["slide"].folder))
    with opened_source(result) as series:
        assert series.slide is not None
        with series.slide() as slide:
            truth = slide.read(0.0, 0.0, *size, 1.0)
            half = slide.read(0.0, 0.0, 512, 350, 2.0)
    for column, row in np.ndindex(3, 2):
        tile = picture(house.look("slide", f"tiles/11/{column}_{row}.jpeg").content)
        here = slice(row * 512, (row + 1) * 512), slice(column * 512, (column + 1) * 512)
        assert tile.shape == whole[here].shape
        whole[here] = tile
        # What a JPEG of the same pixels differs by, and no more.
        assert np.abs(tile.astype(int) - as_jpeg(truth[here])).mean() < 0.5
    apart = np.abs(whole.astype(int) - truth).mean()
    assert apart < 4.0
    # A shift of one pixel would be seen.
    assert np.abs(np.roll(whole, 1, axis=1).astype(int) - truth).mean() > 1.5 * apart
    coarse = picture(house.look("slide", "tiles/10/0_0.jpeg").content)
    assert np.abs(coarse.astype(int) - as_jpeg(half)).mean() < 0.5
    assert picture(house.look("slide", "tiles/0/0_0.jpeg").content).shape == (1, 1, 3)


def test_a_map_is_transparent_where_nothing_is_known(house: House) -> None:
    layer = picture(house.look("slide", "slide-heat.png").content)
    assert layer.shape == (*HEAT.shape, 4)
    assert (layer[HEAT == 0, 3] == 0).all()
    # Below a tenth nothing is drawn; from there on all of it.
    assert (layer[(HEAT - 1.0) / 254 < 0.1, 3] == 0).all()
    assert (layer[(HEAT - 1.0) / 254 >= 0.1, 3] == 255).all()
    assert (HEAT > 26).any()


def test_regions_are_the_file(house: House, results: dict[str, Path]) -> None:
    answer = house.look("slide", "regions")
    assert answer.content == (results["slide"] / "regions.geojson").read_bytes()
    assert answer.headers["content-type"] == "application/geo+json"


def test_an_explanation_is_its_picture(house: House, results: dict[str, Path]) -> None:
    assert house.look("film", "explanations/0").content == (results["film"] / "map.png").read_bytes()


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Picture.open(io.BytesIO(content)))


def as_jpeg(pixels: np.ndarray) -> np.ndarray:
    into = io.BytesIO()
    Picture.fromarray(np.ascontiguousarray(pixels)).save(into, "JPEG", quality=85)
    return picture(into.getvalue())
