"""The image viewer: planes of volumes, films, pictures and slides, with layers, measurements and mask editing.

The pixels do not pass through here. The browser fetches them from the installation's own routes with the token that it
is given, and what a reader does comes back as events. `SHORTCUTS` is what the page's help tells of the viewer's keys.
"""

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

    from app.services.view import View

ASSETS = Path(__file__).parent / "assets"
_HTML = '<div class="denselens-viewer"></div>'
# The page loads this from a blob, against whose address a path cannot be resolved: hence the page's own.
_BOOTSTRAP = """
const main = import(new URL("/assets/viewer/main.js", document.baseURI).href);
export default (component) => {
  let close = null;
  let gone = false;
  const started = (viewer) => { if (!gone) close = viewer.mount(component); };
  const root = component.parentElement.querySelector(".denselens-viewer");
  main.then(started, () => { root.textContent = "The viewer could not be loaded. Reload the page."; });
  return () => { gone = true; close?.(); };
};
"""

SHORTCUTS: tuple[tuple[str, str], ...] = (
    ("Arrow up, arrow down", "Next or previous slice"),
    ("Page up, page down", "Ten slices further"),
    ("Home, end", "First or last slice"),
    ("Shift + arrows", "Move the crosshair in the plane"),
    ("Ctrl + arrows", "Move the image"),
    ("Alt + arrows", "Width and centre of the window"),
    ("Shift + 1 … 9", "Window presets"),
    ("Tab", "Next plane or control"),
    ("V", "Three planes, or the active one large"),
    ("+, -", "Zoom in or out"),
    ("Space + drag", "Move the image"),
    ("Arrows on a slide", "Move the slide"),
    ("0", "Reset zoom, position and window"),
    ("I", "Smooth or square voxels"),
    ("S", "Segmentation on or off"),
    ("H", "Next explanation map"),
    ("X", "Crosshair"),
    ("D", "Measure a distance"),
    ("W", "Measure two diameters"),
    ("Delete", "Remove a measurement"),
    ("E", "Edit the segmentation"),
    ("B", "Brush"),
    ("Z", "Eraser"),
    ("F", "Threshold fill"),
    ("[, ]", "Smaller or larger brush"),
    ("Enter", "Use the tool at the crosshair"),
    ("K", "Interpolate between two drawn slices"),
    ("O", "Compare with the original"),
    ("Ctrl + Z, Ctrl + Y", "Undo, redo"),
    ("Ctrl + S", "Save the edited segmentation"),
    ("T", "Three-dimensional view"),
    ("Escape", "Back to the crosshair"),
)


@dataclass(frozen=True)
class Focus:
    """A finding to jump to.

    Attributes:
        finding: Its place in the result's list, from 0.
        sequence: Another number than before makes the viewer jump again.
    """

    finding: int
    sequence: int


@dataclass(frozen=True)
class ViewerRequest:
    """What is to be shown.

    Attributes:
        base: Path under which the case's pixels are, "/api/cases/<id>".
        token: What the routes ask for; a new one is only remembered.
        view: How the study is shown.
        focus: What to jump to; None for nothing.
        mask: Saved label map that is shown instead of the network's; "" for none.
        editable: Whether the segmentation may be edited by this reader.
        aided: Whether the reader sees what the network said.
    """

    base: str
    token: str
    view: "View"
    focus: Focus | None = None
    mask: str = ""
    editable: bool = False
    aided: bool = True


@dataclass(frozen=True)
class SavedMask:
    """An edited label map that the server has taken.

    Attributes:
        mask: Its name.
        sha256: Of its voxels.
        changed_voxels: How many differ from the network's.
    """

    mask: str
    sha256: str
    changed_voxels: int


@dataclass(frozen=True)
class ViewerEvents:
    """What happened in the viewer since the page was last drawn; each event is told once.

    Attributes:
        mask_saved: The label map that was saved; None where none was.
        focused: The finding whose mark was clicked; None where none was.
        failed: Why the server refused the token, in words; a new one is needed. "" where it did not.
    """

    mask_saved: SavedMask | None = None
    focused: int | None = None
    failed: str = ""


def viewer(request: ViewerRequest, key: str) -> ViewerEvents:
    """Show a study; a page that asks for the same again leaves the viewer as it is.

    Args:
        request: What is to be shown.
        key: By which the viewer is known in the page, one for each case.

    Raises:
        ValueError: The browser sent an event that is none.
    """
    result = _component()(
        key=key,
        data=asdict(request) | {"view": request.view.model_dump(mode="json")},
        on_mask_saved_change=_nothing,
        on_focused_change=_nothing,
        on_failed_change=_nothing,
    )
    return events(result)


def events(told: Mapping[str, Any]) -> ViewerEvents:
    """Read what the browser sent.

    Raises:
        ValueError: It is not what the viewer sends.
    """
    focused = told.get("focused")
    try:
        return ViewerEvents(
            mask_saved=_saved(told.get("mask_saved")),
            focused=None if focused is None else int(focused),
            failed=str(told.get("failed") or ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"expected an event of the viewer, got {dict(told)!r}: reload the page") from error


def _saved(told: Mapping[str, Any] | None) -> SavedMask | None:
    if told is None:
        return None
    return SavedMask(str(told["mask"]), str(told["sha256"]), int(told["changed_voxels"]))


@functools.cache
def _component() -> "ComponentRenderer":
    # Registered when it is first shown: outside of a running page Streamlit refuses.
    css = (ASSETS / "viewer" / "viewer.css").read_text(encoding="utf-8")
    return st.components.v2.component("denselens_viewer", html=_HTML, css=css, js=_BOOTSTRAP, isolate_styles=True)


def _nothing() -> None:
    """A callback makes Streamlit tell the event."""
