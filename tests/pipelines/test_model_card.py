"""Cards for people: every number stands in the card for programs, and nothing else does."""

import re

import pytest

from datasets.errors import WeightsError
from pipelines.model_card import card_text, stored_card_text
from pipelines.model_package import (
    CalibratedLabel,
    CalibrationRecord,
    DataRecord,
    EvaluationRecord,
    Figure,
    TrainingRecord,
)
from pipelines.model_store import SHIPPED_FOLDER, Card

CARD = Card(
    name="one",
    task="chest_pneumonia",
    trained_on="films",
    limits="nothing but trials",
    phantom=False,
    labels=("normal", "pneumonia"),
    operating_points={"pneumonia": 0.4125},
    calibration={"pneumonia": (1.575, -2.429)},
    notes=("look out",),
    settings={"window_hu": [-211, 253]},
    data=DataRecord(name="a set", sha256="ab" * 32, cases=731, patients=617),
    training=TrainingRecord(seed=43, code_version="0.1.9", settings={"batch": 37}, environment={"torch": "2.13.7"}),
    evaluation=EvaluationRecord(
        data="the test split", cases=59, figures={"auroc": Figure(value=0.913, low=0.877, high=0.951)}
    ),
    calibrated=CalibrationRecord(
        data="another set",
        split="validation",
        method="platt",
        rule="youden",
        labels={
            "pneumonia": CalibratedLabel(
                positives=389, negatives=135, before={"brier": 0.0368}, after={"brier": 0.0161}, at_point={}
            )
        },
        left_alone={"normal": "too few"},
    ),
)


def test_every_number_in_the_text_is_in_the_json() -> None:
    document = CARD.model_dump_json()
    # What the text says by itself: the interval's width.
    numbers = set(re.findall(r"(?<![\w.])\d+(?:\.\d+)*(?!\w)", card_text(CARD))) - {"95"}
    known = set(re.findall(r"\d+(?:\.\d+)*", document))
    assert numbers <= known, numbers - known


@pytest.mark.parametrize(
    "fact",
    ["nothing but trials", "731", "617", "ab" * 32, "43", "0.1.9", "2.13.7", "0.913", "0.877", "0.951", "0.0161", "389"]
    + ["look out", "-211", "37", "the test split", "too few", "0.4125"],
)
def test_every_fact_of_the_json_is_in_the_text(fact: str) -> None:
    assert fact in card_text(CARD)


def test_what_is_not_known_has_no_heading() -> None:
    bare = Card(name="one", task="", trained_on="t", limits="l", phantom=True)
    text = card_text(bare)
    assert re.findall("^## (.*)$", text, re.MULTILINE) == ["What it must not be used for"]
    assert "phantoms only" in text
    assert "phantoms" not in card_text(bare.model_copy(update={"phantom": False}))


def test_a_card_brings_no_headings_or_pictures_of_its_own() -> None:
    text = card_text(CARD.model_copy(update={"limits": "a\n# b\n<script>\n![x](y)"}))
    assert "\n# b" not in text
    assert "<script>" not in text
    assert "![x]" not in text


def test_cards_of_weights_that_ship() -> None:
    text = stored_card_text("chest_pneumonia")
    assert text.startswith("# chest_pneumonia\n")
    assert "355,746 parameters" in text
    with pytest.raises(WeightsError):
        stored_card_text("nobody")


def test_old_cards_are_read_and_new_ones_survive() -> None:
    for path in SHIPPED_FOLDER.glob("*.json"):
        Card.model_validate_json(path.read_bytes())
    assert Card.model_validate_json(CARD.model_dump_json(exclude_defaults=True)) == CARD
