"""The panel of findings: what the network said of each, and accept, modify or reject, by mouse or by keys alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.access import Person, Right
from app.components.viewer import SavedMask
from app.services.deciding import added, others_since, verdict_on
from app.services.models import card_of
from app.services.predictive import accuracy_of, predictive_values
from app.services.reasons import MEANING, ReasonCode
from app.services.wording import moment_text, probability_text, quantity_text, verdict_text, words
from app.store.records import Decision, Review, Verdict
from app.views.opened import Opened
from app.views.text import plain
from datasets.labels import CHEST_XRAY_14
from pipelines.results import Finding

KEYS: tuple[tuple[str, str], ...] = (
    ("N, P", "Next or previous finding; the image jumps to it"),
    ("A", "Accept the finding"),
    ("J, then 1 to 9", "Reject the finding, for a reason"),
    ("M, then 1 to 9", "Accept it as modified, for a reason"),
    ("Backspace", "Give no reason after all"),
    ("U", "Undo the last step"),
    ("Ctrl+Enter", "Finish the case"),
    ("Q", "Back to the worklist"),
    ("O", "On the worklist: open the most urgent case"),
    ("?", "These keys"),
)
_SEVERITY = {"error": st.error, "warning": st.warning, "info": st.info}
_MARKS = {
    "accepted": ":green-badge[accepted]",
    "modified": ":orange-badge[modified]",
    "rejected": ":red-badge[rejected]",
}
_OPEN = ":gray-badge[open]"
_PENDING = "pending"
_PREVALENCE = (
    "How many in a hundred of those examined where you work have this finding. With the sensitivity and specificity "
    "that the model card tells of held-out data it gives what a call means for you."
)


class Panel:
    """Draws the findings of an open case and takes the reader's steps.

    Args:
        person: Who decides, or only looks.
        opened: The case, whose draft each step changes.
        reviews: Of the case, as they are now.
    """

    def __init__(self, person: Person, opened: Opened, reviews: Sequence[Review]) -> None:
        self._person, self._opened, self._reviews = person, opened, reviews
        self.may_decide = person.may(Right.DECIDE)

    def draw(self) -> None:
        """Draw it: flags first, then findings, then what finishes the case."""
        self._flags()
        self._others()
        findings, called = self._opened.result.findings, self._opened.called
        if not called and self._opened.aided:
            st.markdown("**Nothing was called.**")
        with st.container(key="findings-list"):
            for number in called:
                self._card(number, findings[number])
            self._added()
            if self._opened.aided:
                self._not_called([number for number in range(len(findings)) if number not in called])
        if self.may_decide:
            self._finish()

    def take_mask(self, saved: SavedMask) -> None:
        """Keep an edited mask with the case; findings that were measured in it are the reader's to judge."""
        stand = self._opened.draft.stand
        self._opened.step(replace(stand, mask=saved.mask, mask_sha256=saved.sha256))
        st.toast(f"Edited segmentation kept: {saved.changed_voxels} voxels differ from the network's.")

    def _flags(self) -> None:
        order = list(_SEVERITY)
        for flag in sorted(self._opened.result.quality, key=lambda one: order.index(one.severity)):
            _SEVERITY[flag.severity](f"**{words(flag.code)}**: {plain(flag.message)}")

    def _others(self) -> None:
        since = others_since(self._opened.draft, self._reviews, self._person.name)
        if not since:
            return
        last = since[-1]
        decided = ", ".join(f"{plain(words(one.label))} {verdict_text(one.verdict)}" for one in last.decisions)
        told = f"{plain(last.reader)} decided meanwhile ({moment_text(last.at)}): {decided or 'no finding'}."
        st.warning(f"**Two readers, one case.** {told} Both versions are kept.")
        mine, theirs = st.columns(2)
        mine.button("I have seen it, keep mine", on_click=self._note, args=(last, False), key="keep_mine")
        theirs.button("Go on from theirs", on_click=self._note, args=(last, True), key="take_theirs")

    def _card(self, number: int, finding: Finding) -> None:
        decision, current = self._opened.draft.stand.on(number), number == self._opened.current
        mark = _MARKS[decision.verdict] if decision else _OPEN
        with st.container(border=current):
            columns = st.columns([5, 2], vertical_alignment="center")
            named = words(finding.label) + (f" {finding.location.component}" if finding.location else "")
            likely = "" if finding.probability is None else probability_text(finding.probability)
            label = f"**{plain(named)}** {likely}"
            columns[0].button(label, key=f"look-{number}", on_click=self._look, args=(number,), type="tertiary")
            columns[1].markdown(mark)
            if current:
                self._details(finding, decision)
                if self.may_decide:
                    self._decide(number, decision)

    def _details(self, finding: Finding, decision: Decision | None) -> None:
        if finding.probability is not None:
            kind = "calibrated" if finding.calibrated else "not calibrated"
            likely = probability_text(finding.probability)
            st.caption(f"Probability {likely} ({kind}), called from {finding.threshold:.3f}.")
        self._meaning(finding)
        for quantity in finding.quantities:
            st.caption(f"{plain(words(quantity.name))}: {plain(quantity_text(quantity.value, quantity.unit))}")
        if decision is not None and (decision.reason or decision.text):
            st.caption(plain(f"{MEANING.get(decision.reason, decision.reason)} {decision.text}"))

    def _meaning(self, finding: Finding) -> None:
        card = card_of(self._opened.result.model.weights_sha256)
        accuracy = None if card is None else accuracy_of(card.held_out, finding.label, len(card.labels) or 1)
        if accuracy is None or finding.probability is None:
            return
        percent = st.number_input(
            "Prevalence at your site, %", 0.01, 99.99, 5.0, key=f"prevalence {finding.label}", help=_PREVALENCE
        )
        values = predictive_values(accuracy, percent / 100.0)
        if values is not None:
            whose = "" if accuracy.own else ", mean over the model's labels"
            st.caption(
                f"Of those called, {values.positive:.0%} have it; of those not called, {values.negative:.1%} do not "
                f"(sensitivity {accuracy.sensitivity:.3f}, specificity {accuracy.specificity:.3f}{whose})."
            )

    def _decide(self, number: int, decision: Decision | None) -> None:
        pending = st.session_state.get(_PENDING)
        if pending is not None and pending[1] == number:
            self._reasons(number, pending[0])
            return
        accept, modify, reject = st.columns(3)
        _wide(accept, "Accept", "a", self._accept, number)
        _wide(modify, "Modify", "m", _ask, "modified", number)
        _wide(reject, "Reject", "j", _ask, "rejected", number)
        if decision is not None:
            st.button("Take back", key=f"take-back-{number}", on_click=self._take_back, args=(number,))

    def _reasons(self, number: int, verdict: Verdict) -> None:
        st.markdown(f"**{'Reject' if verdict == 'rejected' else 'Modify'}: why?**")
        text = st.text_input("In your words (optional)", key=f"text-{number}", max_chars=2000)
        for at, reason in enumerate(ReasonCode, start=1):
            arguments = (number, verdict, reason, text)
            st.button(
                words(reason),
                help=MEANING[reason],
                shortcut=str(at),
                key=f"reason-{number}-{reason}",
                on_click=self._with_reason,
                args=arguments,
                width="stretch",
            )
        st.button("Cancel", shortcut="Backspace", key=f"cancel-{number}", on_click=_ask, args=None)

    def _added(self) -> None:
        count = len(self._opened.result.findings)
        for decision in self._opened.draft.stand.decisions:
            if decision.finding >= count:
                columns = st.columns([5, 2], vertical_alignment="center")
                columns[0].markdown(f"**{plain(words(decision.label))}**, seen by the reader. {plain(decision.text)}")
                if self.may_decide:
                    key, arguments = f"remove-{decision.finding}", (decision.finding,)
                    columns[1].button("Remove", key=key, on_click=self._take_back, args=arguments)
        if self.may_decide:
            with st.popover("Add a finding that was missed"):
                known = list(dict.fromkeys([*CHEST_XRAY_14, *(one.label for one in self._opened.result.findings)]))
                with st.form("add", clear_on_submit=True, border=False):
                    label = st.selectbox("What", known, format_func=words, accept_new_options=True)
                    text = st.text_input("Where, and what of it", max_chars=2000)
                    if st.form_submit_button("Add") and label:
                        self._opened.step(added(self._opened.result, self._opened.draft.stand, str(label)[:64], text))
                        st.rerun()

    def _not_called(self, numbers: Sequence[int]) -> None:
        if not numbers:
            return
        with st.expander(f"Not called ({len(numbers)})"):
            for number in numbers:
                one = self._opened.result.findings[number]
                probability = probability_text(one.probability)
                st.caption(f"{plain(words(one.label))}: {probability}, called from {one.threshold:.3f}")

    def _finish(self) -> None:
        opened, still_open = self._opened, self._opened.still_open
        back, forth, undo = st.columns(3)
        _wide(back, "Back", "p", self._move, -1, disabled=not opened.called)
        _wide(forth, "Next", "n", self._move, 1, disabled=not opened.called)
        _wide(undo, "Undo", "u", opened.undo, disabled=not opened.draft.before)
        if opened.draft.stand.complete:
            st.success("This case is decided.")
            return
        st.button(
            "Finish case" if not still_open else f"{len(still_open)} to decide before the case is finished",
            shortcut="Ctrl+Enter",
            type="primary",
            disabled=bool(still_open),
            on_click=opened.finish,
            width="stretch",
            key="finish",
        )

    def _look(self, number: int) -> None:
        _ask()
        self._opened.look(number)

    def _move(self, by: int) -> None:
        _ask()
        self._opened.move(by)

    def _accept(self, number: int) -> None:
        self._opened.decide(verdict_on(self._opened.result, number, "accepted"))

    def _with_reason(self, number: int, verdict: Verdict, reason: ReasonCode, text: str) -> None:
        _ask()
        self._opened.decide(verdict_on(self._opened.result, number, verdict, reason, text))

    def _take_back(self, number: int) -> None:
        self._opened.step(self._opened.draft.stand.without(number))

    def _note(self, review: Review, theirs: bool) -> None:
        self._opened.take_note(review, self._reviews, theirs=theirs)


def _ask(verdict: Verdict | None = None, number: int = 0) -> None:
    st.session_state[_PENDING] = None if verdict is None else (verdict, number)


def _wide(
    column: DeltaGenerator, label: str, key: str, call: Callable[..., None], *arguments: object, disabled: bool = False
) -> None:
    column.button(label, shortcut=key, on_click=call, args=arguments, disabled=disabled, width="stretch", key=label)
