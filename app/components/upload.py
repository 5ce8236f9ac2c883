"""Choosing files or a folder and sending them to the installation, one after the other, as streams."""

import functools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

_HTML = '<div class="upload"></div>'
_CSS = """
.upload { border: 2px dashed var(--st-border-color, #777); border-radius: 0.6rem; padding: 1.1rem 1.4rem;
  font-family: var(--st-font); color: var(--st-text-color); display: flex; flex-direction: column; gap: 0.6rem; }
.upload.over { border-color: var(--st-primary-color); background: var(--st-secondary-background-color); }
.upload p { margin: 0; }
.upload .quiet { font-size: 0.85rem; opacity: 0.75; }
.upload .row { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; }
.upload button { color: var(--st-text-color); background: var(--st-secondary-background-color); cursor: pointer;
  border: 1px solid var(--st-border-color, #777); border-radius: 0.4rem; padding: 0.35rem 0.8rem; font: inherit; }
.upload button:hover, .upload button:focus-visible { border-color: var(--st-primary-color); }
.upload progress { width: 100%; height: 0.8rem; accent-color: var(--st-primary-color); }
.upload input { display: none; }
"""
# A failed import is told in the browser's console; the next mount tries again.
_BOOTSTRAP = """
const upload = import(new URL("/assets/upload.js", document.baseURI).href);
export default (component) => {
  let close = null;
  let gone = false;
  upload.then((module) => { if (!gone) close = module.mount(component); });
  return () => { gone = true; close?.(); };
};
"""


@dataclass(frozen=True)
class UploadRequest:
    """Where files go.

    Attributes:
        base: Path of the upload, "/api/uploads/<id>".
        token: For it.
        most_bytes: That it may hold.
    """

    base: str
    token: str
    most_bytes: int


@dataclass(frozen=True)
class UploadEvents:
    """What happened since the page was last drawn; each event is told once.

    Attributes:
        done: Everything came and was looked at.
        failed: Why it did not, in words; nothing of it is left. "" where it did not fail.
    """

    done: bool = False
    failed: str = ""


def upload(request: UploadRequest, key: str) -> UploadEvents:
    """A place to drop files on, or to choose them from; how far they have come while they are sent.

    Args:
        request: Where they go.
        key: By which it is known in the page, one for each upload.
    """
    result = _component()(key=key, data=asdict(request), on_done_change=_nothing, on_failed_change=_nothing)
    return UploadEvents(result.get("done") is not None, str(result.get("failed") or ""))


@functools.cache
def _component() -> "ComponentRenderer":
    # Registered when it is first shown: outside of a running page Streamlit refuses.
    return st.components.v2.component("denselens_upload", html=_HTML, css=_CSS, js=_BOOTSTRAP)


def _nothing() -> None:
    """A callback makes Streamlit tell the event."""
