"""The viewer in a page of Streamlit, the help that it gives, and what it takes from the browser."""

import re
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from app.components.viewer import ASSETS, SHORTCUTS, SavedMask, ViewerEvents, events
from tests.app.components.viewer_page import ViewerPage

# Keys that the page itself listens to.
OF_THE_PAGE = [*"armnpuc?", *"123456789"]
LINES = 300
PATIENCE_S = 30.0


def test_help_is_what_the_viewer_listens_to(shown: ViewerPage) -> None:
    assert shown.module("keys", "m.SHORTCUTS") == [list(pair) for pair in SHORTCUTS]


def test_keys_of_the_page_are_left_to_it(shown: ViewerPage) -> None:
    source = "x.map(key => m.action({ key, code: /\\d/.test(key) ? `Digit${key}` : '' }))"
    assert shown.module("keys", source, OF_THE_PAGE) == [None] * len(OF_THE_PAGE)
    assert shown.module("keys", "m.action({ key: 'Enter', ctrlKey: true })") is None


def test_every_key_of_the_help_does_something(shown: ViewerPage) -> None:
    letters = [keys for keys, _ in SHORTCUTS if re.fullmatch("[A-Z]|Delete|Escape|Enter", keys)]
    assert len(letters) > 15
    found = shown.module("keys", "x.map(key => m.action({ key }))", letters)
    assert None not in found


def test_events_are_read() -> None:
    assert events({}) == ViewerEvents()
    told = {"mask_saved": {"mask": "m", "sha256": "s", "changed_voxels": 3}, "focused": 0, "failed": None}
    assert events(told) == ViewerEvents(SavedMask("m", "s", 3), focused=0)
    assert events({"failed": "Your session has lapsed."}).failed == "Your session has lapsed."


@pytest.mark.parametrize(
    "told", [{"mask_saved": "m"}, {"mask_saved": {"mask": "m"}}, {"focused": []}, {"focused": "x"}]
)
def test_events_that_are_none_are_refused(told: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected an event of the viewer"):
        events(told)


def test_scripts_are_short_and_ask_nobody_else() -> None:
    scripts = sorted((ASSETS / "viewer").glob("*.js"))
    assert len(scripts) > 15
    assert [file.name for file in scripts if len(file.read_text(encoding="utf-8").splitlines()) > LINES] == []
    assert [
        file.name
        for file in scripts
        if re.search(r"innerHTML|https?://(?!www\.w3\.org/2000/svg)", file.read_text("utf-8"))
    ] == []


def test_libraries_stand_beside_their_licences() -> None:
    for name in ("niivue", "openseadragon"):
        assert (ASSETS / "vendor" / f"{name}.min.js").is_file()
        assert "Redistribution" in (ASSETS / "vendor" / f"{name}.LICENSE.txt").read_text(encoding="utf-8")


PAGE = """
    import streamlit as st

    from app.components.viewer import Focus, ViewerRequest, viewer
    from app.services.view import Place, View

    view = View(
        kind="volume", shape=(16, 16, 8), result_sha256="x", editable=True,
        places=(Place(finding=0, label="Tumour", positive=True, at=(4, 4, 2)),),
    )
    st.session_state.setdefault("sequence", 0)
    if st.button("Jump"):
        st.session_state.sequence += 1
    focus = Focus(0, st.session_state.sequence) if st.session_state.sequence else None
    told = viewer(ViewerRequest("/api/cases/one", "token", view, focus=focus, editable=True), key="one")
    st.session_state.runs = st.session_state.get("runs", 0) + 1
    st.text(f"run {st.session_state.runs}, focused {told.focused}, saved {told.mask_saved}, failed {told.failed}")
"""
SERVER = """
    import gzip, hashlib, sys
    import numpy as np
    import uvicorn
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles
    from streamlit.starlette import App

    from app.components.viewer import ASSETS

    async def image(request):
        return Response(np.arange(2048, dtype="<i2").tobytes())

    async def mask(request):
        voxels = gzip.decompress(await request.body())
        digest = hashlib.sha256(voxels).hexdigest()
        return JSONResponse({{"mask": "m1", "sha256": digest, "changed_voxels": sum(voxels)}})

    app = App({page!r}, routes=[
        Mount("/assets", StaticFiles(directory=ASSETS)),
        Route("/api/cases/one/image", image),
        Route("/api/cases/one/mask", mask, methods=["PUT"]),
    ])
    uvicorn.run(app, port={port}, log_level="error")
"""


def test_streamlit_mounts_it_and_hears_of_it(browser: Browser, tmp_path: Path, repository: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page_file, server_file = tmp_path / "shown.py", tmp_path / "serve.py"
    page_file.write_text(textwrap.dedent(PAGE), encoding="utf-8")
    server_file.write_text(textwrap.dedent(SERVER).format(page=str(page_file), port=port), encoding="utf-8")
    running = subprocess.Popen(
        [sys.executable, str(server_file)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(repository), "PATH": "/usr/bin:/bin", "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false"},
    )
    try:
        _wait_for(port)
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(f"http://127.0.0.1:{port}")
        plane = page.locator("[data-plane=axial] .at-slice")
        plane.get_by_text("Axial  3 / 8").wait_for()
        page.get_by_text("run 1, focused None").wait_for()
        plane_box = page.locator("[data-plane=axial]")
        plane_box.focus()
        page.keyboard.press("End")
        plane.get_by_text("Axial  8 / 8").wait_for()
        page.keyboard.press("v")
        page.locator("[data-plane=coronal]").wait_for(state="hidden")
        assert page.get_by_text("run 1, focused None").is_visible()
        page.get_by_role("button", name="Jump").click()
        plane.get_by_text("Axial  3 / 8").wait_for()
        page.get_by_text("run 2, focused None").wait_for()
        # The same viewer as before: new data did not begin it anew.
        assert page.locator("[data-plane=coronal]").is_hidden()
        plane_box.focus()
        page.keyboard.press("e")
        page.keyboard.press("Enter")
        page.keyboard.press("Control+s")
        page.get_by_text("saved SavedMask(mask='m1'").wait_for()
        page.get_by_text("voxels changed, saved").wait_for()
        page.close()
    finally:
        running.terminate()
        running.wait()


def _wait_for(port: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with socket.socket() as there:
            if there.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the page did not start")
