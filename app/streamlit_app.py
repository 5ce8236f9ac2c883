"""The review app's pages. `denselens review` opens it."""

from functools import partial

import streamlit as st

from app.access import Right
from app.components.viewer import ASSETS
from app.services.services import services
from app.services.wording import NOTICE
from app.views import review, worklist
from app.views.session import person_here

# Images need the room that a page of text would leave free.
STYLE = """<style>
.stMainBlockContainer { padding: 4.1rem 1.2rem 0.5rem; }
.stVerticalBlock { gap: 0.55rem; }
</style>"""

st.set_page_config(page_title="DenseLens", page_icon=str(ASSETS / "icon.png"), layout="wide")
here = services()
person = person_here(here)
pages = {
    "worklist": st.Page(
        partial(worklist.render, here, person),
        title="Worklist",
        icon=":material/list:",
        url_path="worklist",
        default=True,
    ),
}
if person.may(Right.LOOK):
    pages["case"] = st.Page(
        partial(review.render, here, person), title="Case", icon=":material/radiology:", url_path="case"
    )
st.session_state["pages"] = pages
chosen = st.navigation(list(pages.values()), position="top")
st.html(STYLE)
chosen.run()
st.caption(f"{NOTICE}.")
