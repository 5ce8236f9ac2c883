"""The card that people read, made of the card that programs read: nothing stands here that does not stand there."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from datasets.errors import WeightsError
from networks.build import parameter_count
from networks.configs import NetworkConfig
from pipelines.model_package import Figure
from pipelines.model_store import Card, find_weights, list_weights

_SETTINGS: TypeAdapter[NetworkConfig] = TypeAdapter(NetworkConfig)
_RESEARCH = "Research use only, not a medical device."


def card_text(card: Card, network: NetworkConfig | None = None, weights_sha256: str | None = None) -> str:
    """A model card in Markdown.

    Args:
        card: What is known about the weights.
        network: What they are of; None where the file does not say.
        weights_sha256: Of their file.
    """
    only = "Trained on computer-made phantoms only. Not for patients. " if card.phantom else ""
    lines = [f"# {_plain(card.name)}", "", f"**{only}{_RESEARCH}**", ""]
    lines += _table(("", ""), _facts(card, network, weights_sha256))
    for heading, part in (
        ("What it must not be used for", [_plain(card.limits)]),
        ("What the weights expect and give", _expects(card)),
        ("The data it was trained on", _data(card)),
        ("How it was made", _training(card)),
        ("On data it was not trained on", _evaluation(card)),
        ("Calibration and operating points", _calibration(card)),
        ("What somebody who uses it must know", [f"* {_plain(note)}" for note in card.notes]),
    ):
        told = list(part)
        if told:
            lines += ["", f"## {heading}", "", *told]
    return "\n".join(lines) + "\n"


def stored_card_text(name_or_path: str) -> str:
    """The model card of weights by name or file.

    Raises:
        WeightsError: There are no such weights, or they have no card.
    """
    path = find_weights(name_or_path)
    one = next(listed for listed in list_weights((path.parent,)) if listed.path == path)
    if one.error is not None:
        raise one.error
    if one.card is None:
        raise WeightsError(f"a card beside {path.name}", "none", "weights without a card are known by their file alone")
    network = None if one.network is None else _SETTINGS.validate_python(one.network)
    return card_text(one.card, network, one.sha256)


def _facts(card: Card, network: NetworkConfig | None, sha256: str | None) -> Iterator[tuple[str, str]]:
    yield "task", f"`{_plain(card.task)}`" if card.task else "none named"
    if network is not None:
        yield (
            "network",
            f"{network.name}, {network.spatial_dims}D, {parameter_count(network):,} parameters",
        )
    yield "trained on", card.trained_on
    if card.source is not None:
        yield "imported from", f"{card.source}, sha256 {card.source_sha256}, a {card.layout} file"
    if card.drawn_anew:
        yield "drawn anew", f"{card.drawn_anew} tensors hold random numbers: to be trained first"
    if card.training is not None:
        yield "made by", f"denselens {card.training.code_version}, seed {card.training.seed}"
    if sha256 is not None:
        yield "sha256", sha256


def _expects(card: Card) -> Iterator[str]:
    if card.input is not None:
        size = "any size" if card.input.size_px is None else f"{card.input.size_px} x {card.input.size_px} pixels"
        yield f"Input: {card.input.channels} channels, {size}: {_plain(card.input.scale)}."
    if card.labels:
        yield f"Output: {', '.join(_plain(label) or '(never trained)' for label in card.labels)}."
    if card.settings is not None:
        yield from ("", "Settings of the task, preprocessing among them:", "", *_block(card.settings))


def _data(card: Card) -> Iterator[str]:
    if card.data is None:
        return
    told = card.data
    digest = "" if told.sha256 is None else f"; sha256 {told.sha256}"
    yield f"{_plain(told.name)}: {told.cases} cases of {told.patients} patients{digest}."
    if told.fingerprint:
        yield from ("", *_block(told.fingerprint))


def _training(card: Card) -> Iterator[str]:
    if card.training is None:
        return
    told = card.training
    facts = {"seed": told.seed, "code version": told.code_version, "steps": told.steps, "seconds": told.seconds}
    facts |= told.environment
    yield from _table(("", ""), ((name, str(fact)) for name, fact in facts.items() if fact is not None))
    if told.settings:
        yield from ("", *_block(told.settings))


def _evaluation(card: Card) -> Iterator[str]:
    if card.evaluation is not None:
        yield f"{_plain(card.evaluation.data)}, {card.evaluation.cases} cases:"
        yield ""
        rows = ((name, _figure(figure)) for name, figure in card.evaluation.figures.items())
        yield from _table(("", "value (95 % interval)"), rows)
    if card.held_out and card.evaluation is None:
        yield from _table(("", ""), ((name, _number(value)) for name, value in card.held_out.items()))


def _calibration(card: Card) -> Iterator[str]:
    labels = dict.fromkeys((*card.operating_points, *card.calibration))
    if labels:
        rows = []
        for label in labels:
            point, line = card.operating_points.get(label), card.calibration.get(label)
            told = "none" if line is None else f"sigmoid({_number(line[0])} x log odds {line[1]:+.4g})"
            rows.append((label, "0.5" if point is None else _number(point), told))
        yield from _table(("label", "called from", "calibration"), rows)
    if card.calibrated is None:
        return
    record = card.calibrated
    yield from (
        "",
        f"Fitted on {_plain(record.data)}, split {record.split}, by {record.method}; points by {record.rule}.",
        "",
    )
    figures = [
        (label, str(one.positives), str(one.negatives), name, _number(one.before[name]), _number(one.after[name]))
        for label, one in record.labels.items()
        for name in one.before
    ]
    yield from _table(("label", "with", "without", "figure", "before", "after"), figures)
    yield from (f"* {_plain(label)} was left alone: {_plain(why)}" for label, why in record.left_alone.items())


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heading)} |".replace("|  |", "| |").replace("|  |", "| |")
    yield f"|{'---|' * len(heading)}"
    for row in rows:
        yield f"| {' | '.join(_plain(cell).replace('|', '/') for cell in row)} |"


def _block(settings: Mapping[str, Any]) -> list[str]:
    return ["```json", *json.dumps(settings, indent=2, ensure_ascii=False).splitlines(), "```"]


def _figure(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return _number(figure.value)
    return f"{_number(figure.value)} ({_number(figure.low)} to {_number(figure.high)})"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _plain(text: str) -> str:
    """One line: cards come from anywhere, and may not bring headings or pictures of their own."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line.replace("<", "&lt;").replace("![", "!\\[")
