"""Calibration: lines that scikit-learn finds too, points by their definition, refusals, and a card that scores."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_curve

from datasets.errors import ConfigError, WeightsError
from datasets.example import Dataset
from pipelines.calibrate import Wanted, calibrate, write_calibrated
from pipelines.calibration_lines import figures, fit_line, held_out
from pipelines.calling_rule import Rule
from pipelines.model_store import SHIPPED_FOLDER, read_card
from pipelines.run import Pipeline
from pipelines.task import load_task
from tests.pipelines.example_sets import dataset, film, findings, pneumonia, volume

WEIGHTS = "chest_pneumonia"
Rng = np.random.Generator


def _distorted(rng: Rng, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose true log odds are 2 times theirs, less 1."""
    odds = rng.normal(0.0, 1.5, count)
    truths = rng.uniform(size=count) < expit(2.0 * odds - 1.0)
    return expit(odds), truths


def test_platt_undoes_what_was_done() -> None:
    scores, truths = _distorted(np.random.default_rng(0))
    line = fit_line(scores, truths, "platt")
    assert line is not None
    assert (line.slope, line.intercept) == (pytest.approx(2.0, abs=0.06), pytest.approx(-1.0, abs=0.06))


def test_temperature_is_the_slope_scikit_learn_finds() -> None:
    scores, truths = _distorted(np.random.default_rng(1))
    odds = np.log(scores / (1.0 - scores))
    theirs = LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-10).fit(odds[:, None], truths)
    line = fit_line(scores, truths, "temperature")
    assert line is not None
    assert (line.slope, line.intercept) == (pytest.approx(theirs.coef_[0, 0], rel=1e-5), 0.0)


def test_figures_are_scikit_learns() -> None:
    scores, truths = _distorted(np.random.default_rng(2), 500)
    found = figures(scores, truths)
    assert found["brier"] == pytest.approx(brier_score_loss(truths, scores), abs=1e-6)
    assert found["log_loss"] == pytest.approx(log_loss(truths, scores), abs=1e-6)


def test_scores_that_say_the_opposite_have_no_line() -> None:
    scores, truths = _distorted(np.random.default_rng(3), 500)
    assert fit_line(1.0 - scores, truths, "platt") is None
    assert fit_line(scores, np.ones_like(truths), "temperature") is None


def test_no_patient_is_judged_by_a_line_that_saw_it() -> None:
    scores, truths = _distorted(np.random.default_rng(4), 200)
    patients = [f"p{n // 2}" for n in range(200)]
    before = held_out(scores, truths, patients, "platt")
    turned = truths.copy()
    turned[:2] = ~turned[:2]
    after = held_out(scores, turned, patients, "platt")
    assert (before[:2] == after[:2]).all()
    assert (before != after).any()


@pytest.mark.parametrize("least", [0.8, 0.95, 1.0])
def test_points_keep_what_they_promise_and_are_the_best_that_do(least: float) -> None:
    scores, truths = _distorted(np.random.default_rng(5), 400)
    false_alarms, found, _ = roc_curve(truths, scores, drop_intermediate=False)
    sensitive = Rule("sensitivity", least).point(scores, truths)
    assert np.mean(scores[truths] >= sensitive) >= least
    assert np.mean(scores[~truths] >= sensitive) == pytest.approx(false_alarms[found >= least].min())
    specific = Rule("specificity", least).point(scores, truths)
    assert np.mean(scores[~truths] < specific) >= least
    assert np.mean(scores[truths] >= specific) == pytest.approx(found[1.0 - false_alarms >= least - 1e-12].max())


@pytest.mark.parametrize(
    "text", ["", "youden=1", "sensitivity", "sensitivity=0", "specificity=1.2", "best", "sensitivity=x"]
)
def test_other_rules_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--rule"):
        Rule.parse(text)


def test_rules_are_read() -> None:
    assert [str(Rule.parse(text)) for text in ("youden", "sensitivity=0.9", "specificity=0.95")] == [
        "youden",
        "sensitivity >= 0.9",
        "specificity >= 0.95",
    ]


def _films(count: int = 24, split: str = "") -> Dataset:
    """Films of noise whose truth is half by what they look like and half by lot: something there is to fit."""
    rng, films = np.random.default_rng(0), []
    for number in range(count):
        there = number % 2 == 0
        pixels = np.clip(rng.normal(100 + 40 * there, 30 + 20 * (number % 3), (40, 40)), 0, 255).astype(np.uint8)
        films.append(film(f"f{number:02d}", pixels, pneumonia(there), split=split if number % 4 else ""))  # type: ignore[arg-type]
    return dataset(*films, name="films")


def test_the_card_has_what_was_fitted_and_scores_with_it(tmp_path: Path) -> None:
    told: list[str] = []
    card = calibrate(load_task(WEIGHTS), WEIGHTS, _films(), Wanted("temperature", min_cases=5), told.append)
    record = card.calibrated
    assert record is not None
    assert (record.split, record.method, record.data) == ("all", "temperature", "films")
    assert (record.labels["pneumonia"].positives, record.labels["pneumonia"].negatives) == (12, 12)
    assert "no validation split" in told[0]
    out = tmp_path / "new.safetensors"
    write_calibrated(WEIGHTS, card, out)
    assert out.read_bytes() == (SHIPPED_FOLDER / f"{WEIGHTS}.safetensors").read_bytes()
    read = read_card(out)
    assert read is not None
    assert (read.name, read.calibration, read.operating_points) == ("new", card.calibration, card.operating_points)
    (finding,) = Pipeline.load(load_task(WEIGHTS, [f"weights={out}"]), "cpu").run(_films().examples[0].study).findings
    slope, intercept = card.calibration["pneumonia"]
    raw = finding.raw_probability or 0.0
    assert finding.probability == pytest.approx(expit(slope * np.log(raw / (1.0 - raw)) + intercept), abs=1e-4)
    assert json.loads(out.with_suffix(".json").read_bytes())["calibrated"]["rule"] == "youden"


def test_the_validation_split_is_what_is_fitted_on() -> None:
    card = calibrate(load_task(WEIGHTS), WEIGHTS, _films(split="validation"), Wanted("temperature", min_cases=5))
    assert card.calibrated is not None
    assert card.calibrated.split == "validation"
    assert card.calibrated.labels["pneumonia"].positives + card.calibrated.labels["pneumonia"].negatives == 18


def test_few_cases_are_refused_and_told() -> None:
    told: list[str] = []
    with pytest.raises(ConfigError, match="12 cases with it and 12 without, where 20"):
        calibrate(load_task(WEIGHTS), WEIGHTS, _films(), Wanted(), told.append)
    assert any("left alone" in line for line in told)


def test_voxels_are_not_calibrated() -> None:
    ones = np.ones((4, 4, 4), np.float32)
    with pytest.raises(ConfigError, match="which labels"):
        calibrate(load_task("liver_ct"), "liver_ct_phantom", dataset(volume("a", ones, ones)), Wanted())


def test_a_dataset_of_other_labels_is_refused() -> None:
    other = dataset(film("a", np.full((8, 8), 9, np.uint8), findings(fracture=1.0)))
    with pytest.raises(ConfigError, match="fracture"):
        calibrate(load_task(WEIGHTS), WEIGHTS, other, Wanted())


def test_files_that_stand_are_not_replaced_unasked(tmp_path: Path) -> None:
    card = read_card(SHIPPED_FOLDER / f"{WEIGHTS}.safetensors")
    assert card is not None
    out = tmp_path / "a.safetensors"
    out.with_suffix(".json").write_text("mine")
    with pytest.raises(WeightsError, match="--force"):
        write_calibrated(WEIGHTS, card, out)
    assert not out.exists()
    with pytest.raises(WeightsError, match="another file"):
        write_calibrated(WEIGHTS, card, SHIPPED_FOLDER / f"{WEIGHTS}.safetensors", force=True)
    with pytest.raises(WeightsError, match="ending"):
        write_calibrated(WEIGHTS, card, tmp_path / "a.pt")
