"""Methods compared over studies: means by hand, every map in the table, nothing that is not told."""

import csv
import io
from typing import Any

import pytest

from pipelines.explain.card import ScoreCard
from pipelines.explain.comparison import comparison_csv, comparison_page, judged_of
from pipelines.results import Explanation


def explanation(method: str, faithfulness: float, label: str = "mass", source: str = "") -> Explanation:
    faithful = faithfulness > 0.5
    card = ScoreCard(
        verdict="faithful" if faithful else "not_faithful",
        reasons=() if faithful else ("no_better_than_chance",),
        budget="quick",
        deletion_auc=0.2,
        deletion_auc_random=0.5,
        insertion_auc=0.8,
        insertion_auc_random=0.5,
        faithfulness=faithfulness,
        faithfulness_deviations=3.0,
    )
    return Explanation(label=label, method=method, file="x.png", source=source, score_card=card)


def document(study: str, *told: Explanation) -> dict[str, Any]:
    return {"study": {"uid": study}, "explanations": [one.model_dump(mode="json") for one in told]}


JUDGED = judged_of(
    [
        document("one", explanation("cam", 0.9), explanation("rise", 0.1)),
        # Two films of one study are one study.
        document("two", explanation("cam", 0.2, source="a"), explanation("cam", 0.4, source="b")),
        document("three", Explanation(label="mass", method="cam", file="x.png")),
    ]
)


def test_every_judged_map_is_a_row() -> None:
    rows = list(csv.DictReader(io.StringIO(comparison_csv(JUDGED))))
    assert [(row["study"], row["method"], row["source"]) for row in rows] == [
        ("one", "cam", ""),
        ("one", "rise", ""),
        ("two", "cam", "a"),
        ("two", "cam", "b"),
    ]
    assert [row["verdict"] for row in rows] == ["faithful", "not_faithful", "not_faithful", "not_faithful"]
    assert [row["reasons"] for row in rows] == ["", *["no_better_than_chance"] * 3]
    assert float(rows[0]["faithfulness"]) == 0.9
    assert rows[0]["stability"] == ""
    assert len(list(csv.DictReader(io.StringIO(comparison_csv([]))))) == 0


def test_means_are_of_studies() -> None:
    page = comparison_page(JUDGED, "Explanations of <films>")
    cam = page[page.index("<code>cam</code>") : page.index("<code>rise</code>")]
    # (0.9 + (0.2 + 0.4) / 2) / 2, and one study of two is faithful.
    assert "<b>0.600</b>" in cam
    assert "<b>0.500</b>" in cam
    assert "&lt;films&gt;" in page
    assert "2 studies" in page
    assert "<script" not in page


@pytest.mark.parametrize("labels", [("mass",), ("mass", "nodule")])
def test_labels_have_tables_of_their_own(labels: tuple[str, ...]) -> None:
    judged = judged_of([document("one", *(explanation("cam", 0.9, label) for label in labels))])
    assert comparison_page(judged, "x").count("<table>") == (1 if len(labels) == 1 else 1 + len(labels))
