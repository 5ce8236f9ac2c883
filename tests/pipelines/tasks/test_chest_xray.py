"""Films through the task: one or several, either polarity, with weights of one's own or imported ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, InputRefused
from datasets.image import Image, Intensity
from datasets.io.dicom_film import FilmOptions, write_film, write_film_study
from datasets.io.discover import open_inputs
from datasets.phantoms import film_phantom
from datasets.study import Loaded, Projection, Series, Study
from networks.build import build
from networks.configs import DenseNetConfig, Input
from pipelines.model_store import Card, save_weights
from pipelines.results import Finding, Result
from pipelines.run import Pipeline
from pipelines.task import load_task

GREY = DenseNetConfig(block_config=(2, 2), growth_rate=4, init_features=8, in_channels=1, out_channels=2)
LABELS = ("effusion", "nodule")
EXPECTED = Input(scale="[0, 1]", channels=1, size_px=64, mean=(0.5,), std=(0.25,))


def _pipeline(folder: Path, *settings: str, network: DenseNetConfig = GREY, **card: Any) -> Pipeline:
    path = folder / f"weights{len(list(folder.glob('*.safetensors')))}.safetensors"
    told = {"labels": LABELS, "input": EXPECTED} | card
    save_weights(
        build(network, seed=3),
        network,
        Card(name="test", task="chest_xray", trained_on="nothing", limits="", phantom=False, **told),
        path,
    )
    task = load_task("chest_xray", list(settings))
    return Pipeline.load(task.model_copy(update={"network": network, "weights": str(path)}), "cpu")


@dataclass(frozen=True)
class Film:
    """A film by its seed, its projection as a header might say it."""

    seed: int
    projection: Projection = ""
    view: str = "PA"

    def series(self) -> Series:
        name = f"film-{self.seed}"
        return Series(name, "CR", "", 1, None, (), None, partial(self.load), projection=self.projection)

    def load(self) -> Loaded:
        return Loaded(film_phantom(self.seed, view=self.view).image(128))  # type: ignore[arg-type]


def _study(*films: Film) -> Study:
    return Study("study", "here", tuple(film.series() for film in films))


def _one(path: Path, pipeline: Pipeline) -> Result:
    with open_inputs([path]) as inventory:
        (study,) = inventory.studies
        return pipeline.run(study)


def _p(findings: Sequence[Finding]) -> dict[str, float]:
    return {finding.label: finding.raw_probability or 0.0 for finding in findings}


def _codes(result: Result) -> list[str]:
    return [flag.code for flag in result.quality]


def test_labels_input_and_points_come_with_the_weights(tmp_path: Path) -> None:
    pipeline = _pipeline(
        tmp_path,
        operating_points={"nodule": 0.01},
        calibration={"effusion": (2.0, -0.5)},
        labels=("effusion", "nodule"),
    )
    effusion, nodule = pipeline.run(_study(Film(1))).findings
    assert (effusion.label, effusion.calibrated, nodule.label, nodule.calibrated) == ("effusion", True, "nodule", False)
    assert (nodule.threshold, nodule.positive) == (0.01, True)
    raw = effusion.raw_probability or 0.0
    assert effusion.probability == pytest.approx(1 / (1 + np.exp(-(2.0 * np.log(raw / (1 - raw)) - 0.5))), abs=2e-6)
    assert pipeline.task.preprocess(Film(1).load().image).array.shape == (1, 64, 64, 1)  # type: ignore[attr-defined]


def test_the_yaml_has_the_last_word(tmp_path: Path) -> None:
    said = _pipeline(tmp_path, "operating_points.nodule=0.9", operating_points={"nodule": 0.01, "effusion": 0.2})
    points = {f.label: f.threshold for f in said.run(_study(Film(1))).findings}
    assert points == {"effusion": 0.2, "nodule": 0.9}


def test_films_are_averaged_and_each_keeps_its_own(tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path)
    alone = [_p(pipeline.run(_study(Film(seed))).findings) for seed in (1, 2, 3)]
    together = pipeline.run(_study(Film(3), Film(1), Film(2)))
    assert [view.source for view in together.views] == ["film-1", "film-2", "film-3"]
    for view, own in zip(together.views, alone, strict=True):
        assert _p(view.findings) == pytest.approx(own, abs=1e-6)
    for label in LABELS:
        assert _p(together.findings)[label] == pytest.approx(np.mean([own[label] for own in alone]), abs=2e-6)
    assert pipeline.run(_study(Film(1))).views == ()


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_how_many_views_share_a_batch_changes_nothing(tmp_path: Path, batch: int) -> None:
    films = [Film(seed) for seed in range(1, 6)]
    findings = _pipeline(tmp_path, f"batch={batch}").run(_study(*films)).findings
    expected = _pipeline(tmp_path).run(_study(*films)).findings
    assert _p(findings) == pytest.approx(_p(expected), abs=2e-6)


def test_a_lateral_view_is_left_out_beside_frontal_ones_and_flagged_alone(tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path)
    lateral = Film(4, "lateral", "LL")
    beside = pipeline.run(_study(Film(1, "frontal"), lateral))
    assert [(view.projection, view.used) for view in beside.views] == [("frontal", True), ("lateral", False)]
    assert _p(beside.findings) == pytest.approx(_p(pipeline.run(_study(Film(1))).findings), abs=1e-6)
    assert "view_left_out" in _codes(beside)
    alone = pipeline.run(_study(lateral))
    assert _codes(alone).count("lateral_view") == 1
    assert next(flag for flag in alone.quality if flag.code == "lateral_view").severity == "error"
    # Without a header that says so, the picture does.
    assert _codes(pipeline.run(_study(Film(4, "", "LL")))) == ["lateral_view"]


def test_where_headers_are_silent_the_look_of_a_lateral_view_counts(tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path)
    beside = pipeline.run(_study(Film(1), Film(4, "", "LL")))
    assert [(view.source, view.used) for view in beside.views] == [("film-1", True), ("film-4", False)]
    # A header that says "frontal" is believed, and contradicted by a flag.
    believed = pipeline.run(_study(Film(1), Film(4, "frontal", "LL")))
    assert all(view.used for view in believed.views)
    assert "lateral_view" in _codes(believed)


def test_a_study_is_named_after_a_film_it_rests_on(tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path)
    films = (Film(1, "lateral", "LL"), Film(2, "frontal"))
    for order in (films, films[::-1]):
        assert pipeline.run(_study(*order)).study.series_uid == "film-2"


@dataclass(frozen=True)
class Faint:
    """A film whose file claims sixteen bits and uses twelve."""

    def __call__(self) -> Loaded:
        film = film_phantom(1).image(128, bits=12)
        return Loaded(Image(film.array, Intensity.GREY, film.affine, (0.0, 65535.0)))


def test_a_film_that_is_nearly_black_is_told(tmp_path: Path) -> None:
    series = Series("faint", "CR", "", 1, None, (), None, Faint())
    (told,) = [f for f in _pipeline(tmp_path).run(Study("study", "", (series,))).quality if f.severity == "warning"]
    assert told.code == "outside_training_range"
    assert "window or bits may be wrong" in told.message


def test_tasks_for_any_projection_leave_nothing_out(tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path, "projection=any", "guard=false")
    result = pipeline.run(_study(Film(1, "frontal"), Film(4, "lateral", "LL")))
    assert [view.used for view in result.views] == [True, True]
    assert _codes(result) == []


@dataclass(frozen=True)
class Blank:
    """A film on which nothing was exposed."""

    def __call__(self) -> Loaded:
        return Loaded(Image(np.full((1, 60, 60, 1), 9, np.uint8), Intensity.GREY))


def _blank(uid: str = "blank") -> Series:
    return Series(uid, "CR", "", 1, None, (), None, Blank())


def test_a_blank_film_is_refused_and_left_out_beside_others(tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path)
    with pytest.raises(InputRefused) as raised:
        pipeline.run(Study("study", "here", (_blank(),)))
    assert raised.value.code is RefusalCode.BLANK_IMAGE
    result = pipeline.run(Study("study", "here", (_blank(), Film(1).series())))
    assert _p(result.findings) == pytest.approx(_p(pipeline.run(_study(Film(1))).findings), abs=1e-6)
    (told,) = [flag.message for flag in result.quality if flag.code == "view_left_out"]
    assert "film blank" in told


def test_other_modalities_are_not_films(tmp_path: Path) -> None:
    series = Series("mr", "MR", "", 1, None, (), None, Blank())
    with pytest.raises(InputRefused) as raised:
        _pipeline(tmp_path).run(Study("study", "here", (series,)))
    assert raised.value.code is RefusalCode.WRONG_MODALITY


def test_a_film_stored_either_way_gives_the_same_findings(tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path)
    film = film_phantom(7, findings=["effusion"]).image(200, bits=12)
    results = []
    for monochrome1 in (False, True):
        path = write_film(film, tmp_path / f"{monochrome1}.dcm", FilmOptions(monochrome1=monochrome1))
        results.append(_one(path, pipeline))
    assert _p(results[0].findings) == pytest.approx(_p(results[1].findings), abs=1e-6)
    assert [code for code in _codes(results[1]) if code != "monochrome1_inverted"] == _codes(results[0])
    assert "monochrome1_inverted" in _codes(results[1])
    assert "looks_inverted" not in _codes(results[1])


def test_the_same_stored_pixels_called_monochrome1_are_a_negative(tmp_path: Path) -> None:
    film = film_phantom(8).image(200)
    path = write_film(film, tmp_path / "film.dcm", FilmOptions(bits_stored=8, window=(128.0, 256.0)))
    right = _one(path, _pipeline(tmp_path))
    Picture.fromarray(255 - film.array[0, :, :, 0].T).save(tmp_path / "negative.png")
    wrong = _one(tmp_path / "negative.png", _pipeline(tmp_path))
    assert "looks_inverted" not in _codes(right)
    assert "looks_inverted" in _codes(wrong)


def test_pictures_of_every_kind_say_what_the_grey_one_says(tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path)
    rows = film_phantom(9).image(200, bits=12).array[0, :, :, 0].T
    grey = (rows >> 4).astype(np.uint8)
    pictures = {
        "grey": Picture.fromarray(grey),
        "rgb": Picture.fromarray(np.repeat(grey[..., None], 3, axis=2)),
        "rgba": Picture.fromarray(np.dstack([grey, grey, grey, np.full_like(grey, 255)])),
        "deep": Picture.fromarray(rows.astype(np.uint16) << 4),
        "twelve": Picture.fromarray(rows.astype(np.uint16)),
    }
    said = {}
    for name, picture in pictures.items():
        picture.save(tmp_path / f"{name}.png")
        result = _one(tmp_path / f"{name}.png", pipeline)
        said[name] = _p(result.findings)
        assert ("display_range_assumed" in _codes(result)) == (name == "twelve")
        assert ("colour_converted" in _codes(result)) == (name == "rgba")
    for name in ("rgb", "rgba"):
        assert said[name] == pytest.approx(said["grey"], abs=2e-6)
    # Twelve bits and sixteen show one film; eight bits round it.
    assert said["twelve"] == pytest.approx(said["deep"], abs=1e-4)
    assert said["grey"] == pytest.approx(said["deep"], abs=2e-2)


def test_a_study_of_two_dicom_films_is_one_study(tmp_path: Path) -> None:
    films = [(film_phantom(1).image(96, bits=12), "PA"), (film_phantom(1, view="LL").image(96, bits=12), "LL")]
    write_film_study(films, tmp_path / "study", FilmOptions())  # type: ignore[arg-type]
    result = _one(tmp_path / "study", _pipeline(tmp_path))
    assert sorted((view.projection, view.used) for view in result.views) == [("frontal", True), ("lateral", False)]


def test_what_does_not_fit_the_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="as many outputs as the network has, 2; got 1"):
        _pipeline(tmp_path, labels=("effusion",))
    with pytest.raises(ConfigError, match="as many channels as the network takes, 1; got 3"):
        _pipeline(tmp_path, input=Input(scale="RGB", channels=3))


def test_outputs_without_names_get_numbers_that_claim_nothing(tmp_path: Path) -> None:
    labels = [f.label for f in _pipeline(tmp_path, labels=(), input=EXPECTED).run(_study(Film(1))).findings]
    assert labels == ["output_01", "output_02"]


def test_severity_is_three_classes_and_a_score(tmp_path: Path) -> None:
    network = GREY.model_copy(update={"out_channels": 4})
    task = load_task("chest_severity").model_copy(update={"network": network, "input": EXPECTED})
    result = Pipeline.load(task, "cpu").run(_study(Film(1)))
    assert [f.label for f in result.findings] == ["mild", "moderate", "severe"]
    assert sum(f.raw_probability or 0.0 for f in result.findings) == pytest.approx(1.0, abs=2e-6)
    (score,) = result.quantities
    assert score.name == "severity"
    assert 0.0 <= (score.value or 0.0) <= 8.0
    assert "untrained_weights" in _codes(result)


@pytest.mark.real_data
def test_real_films_are_scored_and_the_negative_is_told(shared_data: Path, tmp_path: Path) -> None:
    pipeline = _pipeline(tmp_path)
    results = {}
    for name in ("cr_monochrome2", "cr_monochrome1_same_pixels"):
        with open_inputs([shared_data / "chest_dicom" / f"{name}.dcm"]) as inventory:
            study = inventory.studies[0]
            results[name] = (study.series[0].load().image, pipeline.run(study))
    plain, exchanged = (image for image, _ in results.values())
    assert plain.shown == exchanged.shown == (0.0, 255.0)
    np.testing.assert_array_equal(exchanged.array, 255 - plain.array)
    assert "looks_inverted" not in _codes(results["cr_monochrome2"][1])
    assert {"monochrome1_inverted", "looks_inverted"} <= set(_codes(results["cr_monochrome1_same_pixels"][1]))
