"""Small parts of pages: files fetched with the page's token, keys that buttons cannot have, news from the server."""

import functools
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

_HTML = {
    "downloads": '<div class="files"></div>',
    "picture": '<img alt="">',
    "keys": "<span></span>",
    "ticker": "<span></span>",
    "alarm": "<span></span>",
}
_CSS = """
.files { display: flex; flex-wrap: wrap; gap: 0.4rem; font-family: var(--st-font); }
.files button { color: var(--st-text-color); background: var(--st-secondary-background-color); border-radius: 0.4rem;
  border: 1px solid var(--st-border-color, #555); padding: 0.3rem 0.7rem; cursor: pointer; font: inherit; }
.files button:hover, .files button:focus-visible { border-color: var(--st-primary-color); }
.files button:disabled { opacity: 0.5; }
.files p { flex-basis: 100%; margin: 0; color: var(--st-text-color); font-size: 0.85rem; }
img { width: 100%; color: var(--st-text-color); font-family: var(--st-font); }
"""
# A failed import is told in the browser's console; the next mount tries again.
_BOOTSTRAP = """
const files = import(new URL("/assets/files.js", document.baseURI).href);
export default (component) => {
  let close = null;
  let gone = false;
  files.then((module) => { if (!gone) close = module.%s(component); });
  return () => { gone = true; close?.(); };
};
"""

Kind = Literal["downloads", "picture", "keys", "ticker", "alarm"]


@dataclass(frozen=True)
class Download:
    """A file to be saved.

    Attributes:
        title: On its button.
        told: What it is, in a sentence.
        url: Where it is had.
    """

    title: str
    told: str
    url: str


def downloads(files: Sequence[Download], token: str, key: str) -> bool:
    """A button for each file.

    Returns:
        Whether the token was over: the page has to be drawn again with a new one.
    """
    data = {"files": [asdict(file) for file in files], "token": token}
    result = _component("downloads")(key=key, data=data, on_expired_change=_nothing)
    return result.get("expired") is not None


def picture(url: str, told: str, token: str, key: str) -> None:
    """A picture of a case.

    Args:
        url: Where it is had.
        told: What it shows, for who cannot see it.
        token: For the route.
        key: By which it is known in the page.
    """
    _component("picture")(key=key, data={"url": url, "told": told, "token": token})


def pressed(keys: Sequence[str], key: str) -> str:
    """Which of some keys was pressed, outside of any field, since the page was last drawn; "" for none."""
    result = _component("keys")(key=key, data={"keys": list(keys)}, on_pressed_change=_nothing)
    told = result.get("pressed")
    return str(told["key"]) if isinstance(told, dict) and told.get("key") in keys else ""


def ticker(url: str, token: str, state: str, key: str, every_s: float = 3.0) -> None:
    """Have the page drawn again when there is something new, and only then.

    Args:
        url: Of a route that tells a state.
        token: For it.
        state: That is shown now.
        key: By which it is known in the page.
        every_s: How often the browser asks.
    """
    data = {"url": url, "token": token, "state": state, "everyMs": round(1000 * every_s)}
    _component("ticker")(key=key, data=data, on_changed_change=_nothing)


def alarm(after_s: float, key: str) -> None:
    """Have the page drawn again after some time in which nothing else did; its event is `rang`."""
    # Told anew with every drawing, or the browser would not begin to count again.
    data = {"afterMs": round(1000 * after_s), "since": time.time()}
    _component("alarm")(key=key, data=data, on_rang_change=_nothing)


@functools.cache
def _component(kind: Kind) -> "ComponentRenderer":
    # Registered when it is first shown: outside of a running page Streamlit refuses.
    return st.components.v2.component(f"denselens_{kind}", html=_HTML[kind], css=_CSS, js=_BOOTSTRAP % kind)


def _nothing() -> None:
    """A callback makes Streamlit tell the event."""
