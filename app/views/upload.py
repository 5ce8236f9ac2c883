"""Uploading a study: what came, what would be refused and why, and having it scored."""

from collections.abc import Sequence

import streamlit as st

from app.access import Person, Right
from app.components.files import ticker
from app.components.upload import UploadRequest, upload
from app.services.inspection import FoundStudy, Inspection, Note, offered_tasks
from app.services.news import worklist_state
from app.services.services import Services
from app.services.uploads import UploadRefused
from app.services.wording import moment_text, words
from app.store.records import Job, JobStatus
from app.views.text import plain

# A study on a slow line; the token is good for this upload and for nothing else.
_TOKEN_S = 4 * 3600.0
_FIRST = "liver_ct"
_STATES: dict[JobStatus, str] = {
    "queued": "waiting",
    "running": "being scored",
    "done": "done, on the worklist",
    "set_aside": "set aside",
}
_KEPT = ("upload", "upload_failed")
# Words that are not written as they are in names of files.
_SPELT = {"ct": "CT", "xray": "X-ray"}


def render(services: Services, person: Person) -> None:
    """Draw the page.

    Args:
        services: Of the installation.
        person: Who looks at it; may upload.
    """
    person.require(Right.UPLOAD)
    # Before the jobs are read: what changes meanwhile is news.
    state = worklist_state(services.database)
    tasks = offered_tasks()
    left, right = st.columns([5, 5], gap="large")
    with left:
        st.subheader("Upload a study")
        task = st.selectbox(
            "What is to be looked for",
            tasks,
            index=tasks.index(_FIRST) if _FIRST in tasks else 0,
            format_func=_title,
            help="Tasks whose network has weights here. Others would say nothing.",
            key="upload_task",
        )
        _one(services, person, task)
    with right:
        st.subheader("Uploaded to be scored")
        _jobs(services.uploads.jobs(services.database))
    token = services.tokens.grant(person, frozenset({Right.LIST}))
    ticker("/api/worklist/state", token, state, key="worklist-news")


def _one(services: Services, person: Person, task: str) -> None:
    if "upload" not in st.session_state:
        st.session_state["upload"] = services.uploads.begin()
    name = str(st.session_state["upload"])
    found = services.uploads.inspected(name)
    if found is not None:
        _found(services, person, task, found)
        return
    if failed := st.session_state.get("upload_failed"):
        st.error(f"The upload failed: {plain(str(failed))}. Nothing of it was kept.")
    token = services.tokens.grant(person, frozenset({Right.UPLOAD}), f"upload:{name}", _TOKEN_S)
    request = UploadRequest(f"/api/uploads/{name}", token, services.uploads.most_bytes)
    events = upload(request, key=f"upload-{name}")
    if events.done:
        st.session_state.pop("upload_failed", None)
        st.rerun()
    if events.failed:
        _forget(services)
        st.session_state["upload_failed"] = events.failed
        st.rerun()


def _found(services: Services, person: Person, task: str, found: Inspection) -> None:
    fit = found.fit_for(task)
    st.markdown(f"**{_counted(found.files, 'file')}** came, {_size(found.size_bytes)}.")
    if not found.usable:
        st.error("No task can use what came. It was deleted.")
    elif fit:
        st.success(f"{_title(task)} would score {_counted(fit, 'study', 'studies')} of it.")
    else:
        st.warning(f"{_title(task)} would score nothing of it. Choose another task, or another study.")
    with st.container(horizontal=True):
        if found.usable and st.button("Score", type="primary", disabled=not fit, key="upload_score"):
            _accept(services, person, task)
        if st.button("Delete it" if found.usable else "Another upload", key="upload_discard"):
            _forget(services)
            st.rerun()
    _notes(found.repairs)
    _refused(found.refusal)
    for study in found.studies:
        _study(study, task)


def _study(study: FoundStudy, task: str) -> None:
    with st.container(border=True):
        st.markdown(f"**{plain(study.uid)}**")
        for series in study.series:
            kind = plain(series.modality) or "modality not told"
            st.markdown(f"{kind} · {plain(series.description)}")
            _notes(series.repairs)
            _refused(series.refusal)
        _notes(study.repairs)
        _refused(study.refusal)
        choice = study.choices.get(task)
        told = {one.refusal for one in study.series} | {study.refusal}
        if choice is not None and choice not in told:
            _refused(choice, f"{_title(task)} would refuse it")


def _notes(repairs: Sequence[Note]) -> None:
    for one in repairs:
        st.caption(f"Put right: {plain(one.message)} ({plain(one.code)})")


def _refused(refusal: Note | None, told: str = "Cannot be used") -> None:
    if refusal is not None:
        text = f"{told}: {plain(refusal.message)}. What to do: {plain(refusal.advice)}."
        st.warning(f"{text} ({plain(refusal.code)})")


def _accept(services: Services, person: Person, task: str) -> None:
    name = str(st.session_state["upload"])
    try:
        services.uploads.accept(services.database, name, task, person.name)
    except UploadRefused as refused:
        st.error(plain(str(refused)))
        return
    del st.session_state["upload"]
    st.toast("It waits to be scored. Then it is on the worklist.")
    st.rerun()


def _forget(services: Services) -> None:
    services.uploads.discard(str(st.session_state["upload"]))
    for name in _KEPT:
        st.session_state.pop(name, None)


def _jobs(jobs: Sequence[Job]) -> None:
    if not jobs:
        st.caption("Nothing was uploaded yet.")
        return
    rows = [
        {
            "Since": moment_text(job.created_at),
            "Task": _title(str(job.payload["task"])),
            "State": _STATES[job.status],
            "Why": f"{job.code}: {job.message}" if job.code else "",
        }
        for job in jobs
    ]
    st.dataframe(rows, hide_index=True, width="stretch", key="upload_jobs")


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _title(task: str) -> str:
    spelt = [_SPELT.get(word, word) for word in words(task).split()]
    return " ".join([spelt[0][:1].upper() + spelt[0][1:], *spelt[1:]])


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{max(round(size_bytes / 1e3), 1)} kB"
