"""The review app's pages. `denselens review` opens it."""

from functools import partial

import streamlit as st

from app.access import Right
from app.services.services import services
from app.views import review, worklist
from app.views.session import person_here

RESEARCH_USE = "Research use only, not a medical device"

st.set_page_config(page_title="DenseLens", page_icon=":material/radiology:", layout="wide")
here = services()
person = person_here(here)
cases = st.Page(partial(worklist.render, here, person), title="Worklist", icon=":material/list:", url_path="worklist", default=True)
one = st.Page(partial(review.render, here, person), title="Case", icon=":material/radiology:", url_path="case")
pages = [cases]
if person.may(Right.LOOK):
    pages.append(one)
st.session_state["pages"] = {"worklist": cases, "case": one}
chosen = st.navigation(pages, position="top")
st.caption(RESEARCH_USE)
chosen.run()
