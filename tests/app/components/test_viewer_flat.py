"""Films, pictures in colour, slides, and the three-dimensional view."""

import struct

import numpy as np
import pytest

from app.services.view import HeatLayer, Place, View, ViewLabel, Window
from tests.app.components.viewer_page import ViewerPage
from tests.app.components.viewer_server import Case

LABELS = (ViewLabel(index=1, name="Opacity", colour=(20, 120, 250)),)


def film(**changes: object) -> Case:
    """A film of 16 bits whose stored numbers grow by 100 from pixel to pixel."""
    told = {
        "kind": "film",
        "shape": (30, 20, 1),
        "spacing_mm": (0.5, 0.5, 1.0),
        "directions": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
        "dtype": "uint16",
        "slope": 0.5,
        "intercept": -10.0,
        "windows": (Window(name="File", centre=14990.0, width=30000.0),),
        "labels": LABELS,
        "editable": True,
        "places": (Place(finding=2, label="Opacity", positive=True, at=(6.0, 12.0, 0.0)),),
        "result_sha256": "d" * 64,
    }
    image = (np.arange(600, dtype="<u2") * 100).reshape(1, 20, 30)
    return Case(View.model_validate(told | changes), image, np.zeros((1, 20, 30), np.uint8))


def test_a_film_is_windowed_and_read(shown: ViewerPage) -> None:
    shown.show(film())
    shown.press("i")
    for i, j in ((0, 0), (29, 0), (15, 10), (29, 19)):
        stored = 100 * (i + 30 * j)
        # (value - centre) / width + 1/2, with value = stored / 2 - 10.
        grey = int(np.floor(255 * ((stored / 2 - 10 - 14990) / 30000 + 0.5) + 0.5))
        assert shown.pixel("axial", (i, j, 0)) == (grey,) * 3
    shown.move("axial", (29, 19, 0))
    assert shown.text(".readout") == f"column 29, row 19   ·   {59900 / 2 - 10:g}"
    edges = [shown.text(f".at-{edge}") for edge in ("left", "right", "top", "bottom")]
    assert edges == ["R", "L", "H", "F"]


def test_a_film_is_zoomed_by_the_wheel_and_moved(shown: ViewerPage) -> None:
    shown.show(film())
    shown.move("axial", (15, 10, 0))
    shown.page.mouse.wheel(0, -100)
    shown.wait("viewer().state().planes.axial.zoom > 1.2")
    before = shown.state()["planes"]["axial"]
    shown.drag("axial", (15, 10, 0), (18, 10, 0), button="middle")
    after = shown.state()["planes"]["axial"]
    # A drag over three pixels of 0.5 mm at a zoom of 1 is less of the film now that it is larger.
    assert before["centre"][0] - after["centre"][0] == pytest.approx(3 * 0.5 / before["zoom"], abs=2 / before["scale"])
    shown.press("0")
    assert shown.state()["planes"]["axial"]["zoom"] == 1


def test_a_film_can_be_drawn_on(shown: ViewerPage) -> None:
    case = film()
    shown.show(case)
    shown.press("e")
    shown.control("Radius of the brush, mm").fill("0.5")
    shown.drag("axial", (20, 5, 0))
    shown.press("Control+s")
    shown.wait("!viewer().state().dirty")
    saved = case.masks["mask-1"][0]
    cross = {(5, 20), (4, 20), (6, 20), (5, 19), (5, 21)}
    assert {tuple(at) for at in np.argwhere(saved).tolist()} <= cross
    assert saved[5, 20] == 1


def test_a_film_is_drawn_on_by_keyboard_alone(shown: ViewerPage) -> None:
    case = film()
    shown.show(case)
    i, j, _ = shown.state()["cross"]
    shown.press("e", *["["] * 15, "Shift+ArrowRight", "Shift+ArrowUp", "Enter", "Control+s")
    shown.wait("!viewer().state().dirty")
    assert np.argwhere(case.masks["mask-1"]).tolist() == [[0, j - 1, i + 1]]


def test_findings_of_a_film_are_clicked(shown: ViewerPage) -> None:
    shown.show(film())
    shown.drag("axial", (6, 12, 0))
    assert shown.events() == [["focused", 2]]


def test_a_picture_shows_its_colours(shown: ViewerPage) -> None:
    image = np.random.default_rng(3).integers(0, 256, (1, 12, 16, 3), dtype=np.uint8)
    view = View(kind="colour", shape=(16, 12, 1), dtype="uint8", result_sha256="e")
    shown.show(Case(view, image))
    shown.press("i")
    places = [(0, 0), (15, 11), (7, 4)]
    assert shown.pixels("axial", [(i, j, 0) for i, j in places]) == [tuple(image[0, j, i].tolist()) for i, j in places]
    shown.move("axial", (7, 4, 0))
    assert shown.text(".readout") == f"column 7, row 4   ·   RGB {' '.join(map(str, image[0, 4, 7]))}"
    assert shown.control("Window").count() == 0


def slide() -> Case:
    """White glass with a violet square at 600 to 800, in a slide of 0.5 um across and 0.25 um down."""
    image = np.full((1500, 2000, 3), 240, np.uint8)
    image[600:800, 600:800] = (120, 40, 160)
    heat = np.zeros((15, 20, 4), np.uint8)
    heat[6:8, 6:8] = (255, 0, 0, 255)
    square = [[[600, 600], [800, 600], [800, 800], [600, 800], [600, 600]]]
    view = View(
        kind="slide",
        shape=(2000, 1500, 1),
        mpp=(0.5, 0.25),
        heats=(HeatLayer(number=0, label="Tumour", method="Probability"),),
        places=(Place(finding=1, label="Tumour", positive=True, at=(350.0, 175.0)),),
        result_sha256="f",
    )
    regions = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": square}, "properties": {}}],
    }
    return Case(view, image, heats={0: heat}, regions=regions)


def test_a_slide_comes_in_tiles_with_the_token_in_a_header(shown: ViewerPage) -> None:
    case = slide()
    asked: list[str] = []
    shown.page.on("request", lambda request: asked.append(request.url))
    shown.show(case)
    shown.wait("viewer().state().heat === 0.5")
    assert shown.state()["regions"] == 1
    assert any(what.startswith("tiles/") for _, what, _ in case.asked)
    assert not [url for url in asked if case.token in url]


def test_a_slide_jumps_to_micrometres(shown: ViewerPage) -> None:
    case = slide()
    shown.show(case)
    shown.hand_over(case, focus={"finding": 1, "sequence": 1})
    centre = shown.state()["centre"]
    assert (centre["x"], centre["y"]) == (pytest.approx(350 / 0.5, abs=1), pytest.approx(175 / 0.25, abs=1))
    # Two screen pixels show less than 1.2 um of 0.5 um pixels: at least half a pixel of the slide each.
    assert shown.state()["zoom"] >= 0.5
    length, unit = shown.text(".at-scale").split()
    width = float(shown.page.evaluate("parseFloat(root().querySelector('.at-scale').style.width)"))
    micrometres = float(length) * {"µm": 1, "mm": 1000}[unit]
    assert width == pytest.approx(micrometres / 0.5 * shown.state()["zoom"], rel=1e-3)
    assert float(shown.text(".at-slice").removesuffix("×")) == pytest.approx(
        10 / (0.5 / shown.state()["zoom"]), rel=0.05
    )


def test_heat_and_regions_of_a_slide_go_on_and_off(shown: ViewerPage) -> None:
    shown.show(slide())
    shown.control("Opacity of the heat map").fill("80")
    shown.wait("viewer().state().heat === 0.8")
    shown.press("h")
    shown.wait("viewer().state().heat === 0")
    shown.press("s")
    assert not shown.control("Show the regions (S)").is_checked()


def test_without_help_a_slide_is_bare(shown: ViewerPage) -> None:
    case = slide()
    shown.show(case, aided=False)
    shown.settle()
    assert {what.split("/")[0] for _, what, _ in case.asked} == {"slide", "tiles"}


def test_the_volume_for_three_dimensions_is_a_nifti(shown: ViewerPage) -> None:
    view = {
        "shape": [600, 3, 2],
        "spacing_mm": [0.5, 1.0, 2.0],
        "directions": [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
    }
    voxels = "Int16Array.from({ length: 3600 }, (_, n) => n)"
    source = f"[...new Uint8Array(m.nifti({voxels}, x, 'int16', {{ slope: 2, intercept: -5 }}))]"
    raw = bytes(shown.module("nifti", source, view))
    assert struct.unpack_from("<8h", raw, 40)[:4] == (3, 200, 3, 2)
    assert struct.unpack_from("<3f", raw, 80) == (1.5, 1.0, 2.0)
    assert struct.unpack_from("<2f", raw, 112) == (2.0, -5.0)
    affine = np.frombuffer(raw, "<f4", 12, 280).reshape(3, 4)
    # i runs to the back and j to the left: in RAS i takes from the second axis and j from the first.
    assert affine[:, :3].tolist() == [[0.0, -1.0, 0.0], [-1.5, 0.0, 0.0], [0.0, 0.0, 2.0]]
    assert affine @ (199 / 2, 1.0, 0.5, 1.0) == pytest.approx([0.0, 0.0, 0.0], abs=1e-4)
    kept = np.frombuffer(raw, "<i2", offset=352).reshape(2, 3, 200)
    assert np.array_equal(kept, np.arange(3600).reshape(2, 3, 600)[:, :, ::3])


def test_three_dimensions_open_when_asked_for(shown: ViewerPage) -> None:
    k, j, i = np.indices((10, 16, 16))
    ball = ((i - 8) ** 2 + (j - 8) ** 2 + (2 * k - 10) ** 2 < 36).astype(np.uint8)
    view = View(
        kind="volume",
        shape=(16, 16, 10),
        spacing_mm=(1.0, 1.0, 2.0),
        directions=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        windows=(Window(name="All", centre=50.0, width=100.0),),
        labels=LABELS,
        result_sha256="g",
    )
    asked: list[str] = []
    shown.page.on("request", lambda request: asked.append(request.url))
    shown.show(Case(view, (ball * 60).astype("<i2"), ball))
    assert not [url for url in asked if "niivue" in url]
    shown.page.get_by_role("button", name="3D").click()
    shown.wait("root().querySelector('.note').textContent === ''")
    shown.wait("viewer().state().space")
    assert [url for url in asked if "niivue" in url]
    picture = shown.page.locator(".space canvas").screenshot()
    assert len(picture) > 3000
