"""The review app's pages. `denselens review` opens it."""

from functools import partial
from typing import Protocol

import streamlit as st
from streamlit.navigation.page import Page as StreamlitPage

from app.access import Person, Right
from app.components.viewer import ASSETS
from app.services.services import Services, services
from app.services.wording import NOTICE
from app.views import compare, models, monitor, review, upload, worklist
from app.views.session import person_here

# Images need the room that a page of text would leave free.
STYLE = """<style>
.stMainBlockContainer { padding: 4.1rem 1.2rem 0.5rem; }
.stVerticalBlock { gap: 0.55rem; }
.stButton button { padding: 0.25rem 0.5rem; }
.st-key-findings-list { max-height: 46vh; overflow-y: auto; flex-wrap: nowrap; padding-right: 0.4rem; }
</style>"""


class Page(Protocol):
    """A module of `app.views`."""

    def render(self, services: Services, person: Person) -> None:
        """Draw the page."""


st.set_page_config(page_title="DenseLens", page_icon=str(ASSETS / "icon.png"), layout="wide")
here = services()
person = person_here(here)


def _page(module: Page, title: str, icon: str, *, first: bool = False) -> StreamlitPage:
    path, draw = title.lower().replace(" ", "-"), partial(module.render, here, person)
    return st.Page(draw, title=title, icon=f":material/{icon}:", url_path=path, default=first)


pages = {"worklist": _page(worklist, "Worklist", "list", first=True)}
if person.may(Right.LOOK):
    pages["case"] = _page(review, "Case", "radiology")
    pages["studies"] = _page(compare, "Reader studies", "group")
if person.may(Right.UPLOAD):
    pages["upload"] = _page(upload, "Upload", "upload")
if person.may(Right.RESEARCH):
    pages["monitor"] = _page(monitor, "Monitoring", "monitoring")
if person.may(Right.LOOK):
    pages["models"] = _page(models, "Models", "neurology")
st.session_state["pages"] = pages
chosen = st.navigation(list(pages.values()), position="top")
st.html(STYLE)
chosen.run()
st.caption(f"{NOTICE}.")
