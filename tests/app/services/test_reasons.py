import pytest

from app.services.reasons import MEANING, ReasonCode, sentence_of


def test_every_reason_is_explained_in_a_sentence_of_its_own() -> None:
    assert list(MEANING) == list(ReasonCode)
    assert len(set(MEANING.values())) == len(ReasonCode)
    assert all(text.endswith(".") for text in MEANING.values())


@pytest.mark.parametrize(("code", "said"), [("", ""), ("of_another_version", "of_another_version")])
def test_what_is_no_code_is_told_as_it_stands(code: str, said: str) -> None:
    assert sentence_of(code) == said


def test_codes_that_stand_in_reviews_keep_their_spelling() -> None:
    kept = ["false_positive", "wrong_label", "wrong_extent", "wrong_measurement", "artefact", "poor_image"]
    assert [str(code) for code in ReasonCode][:9] == [*kept, "not_relevant", "missed_finding", "other"]
