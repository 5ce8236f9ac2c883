"""The review record in words, as sections and tables: what the HTML page and the PDF both lay out."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from app.services.reasons import sentence_of
from app.services.record import CaseRecord, Row
from app.services.wording import (
    moment_text,
    number_text,
    probability_text,
    quantity_text,
    status_text,
    verdict_text,
    words,
)
from app.store.records import Review

_GRAVEST_FIRST = {"error": 0, "warning": 1, "info": 2}
_NOT_DECIDED = "not decided"

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        title: Above it.
        columns: What stands in them.
        rows: As many cells each as there are columns; none where there is nothing to tell.
        nothing: What is said then.
        note: What the reader has to know of the numbers; "" for nothing.
        numbers: Columns of numbers, from 0.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    nothing: str
    note: str = ""
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Told:
    """Everything that is laid out, in its order.

    Attributes:
        title: Of the document.
        facts: Which study, which model, which state.
        alerts: What comes before all else: a conflict, a study that failed, decisions on an earlier result.
        flags: (gravity, message) of the quality flags, the gravest first.
        tables: What was found, measured and decided.
        model: What the model was trained on, and the rest of its identity.
    """

    title: str
    facts: Facts
    alerts: tuple[str, ...]
    flags: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    model: Facts


def told(record: CaseRecord) -> Told:
    """A record in words. A case without findings or reviews has the same sections, which say so."""
    result = record.result
    flags = sorted(result.quality, key=lambda flag: _GRAVEST_FIRST[flag.severity])
    tables = [_findings(record), _decisions(record), _measurements(record)]
    if record.edit is not None:
        tables.append(_volumes(record))
    tables.append(_reviews(record))
    return Told(
        title=f"Review record: {words(result.task)}",
        facts=tuple(_facts(record)),
        alerts=tuple(_alerts(record)),
        flags=tuple((flag.severity, flag.message) for flag in flags),
        tables=tuple(tables),
        model=tuple(_model(record)),
    )


def _facts(record: CaseRecord) -> Iterator[tuple[str, str]]:
    result, stands = record.result, record.standing
    yield "Study", record.case.study_uid
    yield "Task", result.task
    if result.study.modality:
        yield "Modality", result.study.modality
    yield "State", status_text(record.case.status)
    yield "Standing review", "none yet" if stands is None else f"number {stands.number}, {_who_when(stands)}"
    yield "Model", f"{result.model.name}, version {result.model.version}"
    yield "Weights (SHA-256)", result.model.weights_sha256 or "untrained"
    yield "Result (digest)", record.case.result_sha256


def _alerts(record: CaseRecord) -> Iterator[str]:
    error = record.result.error
    if error is not None:
        yield f"This study could not be scored ({error.code}): {error.message}. What to do: {error.advice}."
    if record.in_conflict:
        yield "Two readers decided without having seen each other's review. Both reviews are kept below."
    stands = record.standing
    if stands is not None and not stands.complete:
        yield "The standing review is not complete."
    later = [review for review in record.reviews if stands is not None and review.number > stands.number]
    if any(record.on_this_result(review) for review in later):
        yield "Later reviews are not complete and do not stand."
    elsewhere = sum(not record.on_this_result(review) for review in record.reviews)
    if elsewhere:
        yield f"The study was scored again: {elsewhere} of the reviews below are of an earlier result and do not stand."


def _findings(record: CaseRecord) -> Table:
    rows = tuple(_finding(row) for row in record.rows if row.kind != "measured")
    return Table(
        "Findings",
        ("Finding", "Probability", "Operating point", "Called", "Reader's verdict"),
        rows,
        "The network told no findings, and no reader added one.",
        "A finding is called from its operating point on. Probabilities are calibrated unless marked with *.",
        numbers=(1, 2),
    )


def _finding(row: Row) -> tuple[str, ...]:
    verdict = _verdict(row)
    said = row.finding
    if said is None:
        return words(row.name), "", "", "", verdict
    mark = "" if said.calibrated or said.probability is None else " *"
    called = "called" if said.positive else "not called"
    probability = f"{probability_text(said.probability)}{mark}"
    return words(row.name), probability, probability_text(said.threshold), called, verdict


def _verdict(row: Row) -> str:
    if row.decided is None:
        return _NOT_DECIDED
    verdict = row.decided.decision.verdict
    return "added by the reader" if row.kind == "added" and verdict != "rejected" else verdict_text(verdict)


def _decisions(record: CaseRecord) -> Table:
    return Table(
        "Decisions of the reader",
        ("Finding", "Verdict", "Reason", "Comment", "By"),
        tuple(_decision(row) for row in record.rows if row.decided is not None),
        "No reader has decided on this result.",
    )


def _decision(row: Row) -> tuple[str, ...]:
    if row.decided is None:
        raise ValueError("expected a row with a decision")
    said = row.decided.decision
    changed = f": {words(said.label)}" if said.verdict == "modified" and said.label != row.label else ""
    by = f"{row.decided.reader}, {moment_text(row.decided.at)}"
    return words(row.name), f"{_verdict(row)}{changed}", sentence_of(said.reason), said.text, by


def _measurements(record: CaseRecord) -> Table:
    rows = []
    for row in record.rows:
        # A number of a finding that was turned down must not be read as one that stands.
        rejected = row.decided is not None and row.decided.decision.verdict == "rejected"
        told_of = f"{words(row.name)}, all of it" if row.kind == "measured" and row.label else words(row.name)
        for one in row.quantities:
            state = "rejected by the reader" if rejected else ""
            rows.append((told_of, words(one.name), quantity_text(one.value, one.unit), state))
    return Table(
        "Measurements",
        ("Of", "Quantity", "Value", "Note"),
        tuple(rows),
        "Nothing was measured.",
        "All values are the network's"
        + ("; those of the edited mask stand below." if record.edit is not None else "."),
        numbers=(2,),
    )


def _volumes(record: CaseRecord) -> Table:
    edit = record.edit
    if edit is None:
        raise ValueError("expected a record with an edited mask")
    rows = ((words(one.label), quantity_text(one.before_ml, "ml"), quantity_text(one.ml, "ml")) for one in edit.volumes)
    return Table(
        "Volumes in the edited mask",
        ("Label", "Network", "Edited by the reader"),
        tuple(rows),
        "The masks have no labels.",
        f"{number_text(edit.changed)} voxels were changed. Voxels of each label alone are counted: "
        "an organ's volume here is without the lesions in it.",
        numbers=(1, 2),
    )


def _reviews(record: CaseRecord) -> Table:
    # Every step of deciding is a review; who reads this wants those that ended in something, and those in conflict.
    disputed = {review.conflicts_with for review in record.reviews}
    shown = [
        review
        for review in record.reviews
        if review.complete
        or review.conflicts_with
        or review.number in disputed
        or review is record.standing
        or review is record.reviews[-1]
    ]
    steps = len(record.reviews) - len(shown)
    return Table(
        "Reviews",
        ("No.", "Reader", "When", "Having seen", "State", "Comment"),
        tuple(_review(review, record) for review in shown),
        "There is no review of this case.",
        f"{steps} more are steps on the way to these; the JSON export holds them." if steps else "",
    )


def _review(review: Review, record: CaseRecord) -> tuple[str, ...]:
    state = ["complete" if review.complete else "not complete"]
    if review is record.standing:
        state.append("stands")
    if review.conflicts_with:
        state.append(f"conflicts with {review.conflicts_with}")
    if not record.on_this_result(review):
        state.append("of an earlier result")
    if not review.aided:
        state.append("without the network's help")
    seen = f"review {review.based_on}" if review.based_on else "none"
    return str(review.number), review.reader, moment_text(review.at), seen, ", ".join(state), review.comment


def _model(record: CaseRecord) -> Iterator[tuple[str, str]]:
    model = record.result.model
    yield "Model", f"{model.name}, version {model.version}"
    yield "Trained on", model.trained_on
    yield "Weights (SHA-256)", model.weights_sha256 or "untrained"
    if model.localiser_sha256:
        yield "Weights of the coarse look (SHA-256)", model.localiser_sha256
    for name, digest in model.assistants_sha256.items():
        yield f"Weights of the {words(name)} (SHA-256)", digest or "untrained"
    yield "Written by", f"DenseLens {version('denselens')}"


def _who_when(review: Review) -> str:
    return f"{review.reader}, {moment_text(review.at)}"
