"""Studies scored and explained in one go: the same findings, maps on the image's grid, one path for every door."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from app.cli import main
from datasets.errors import ConfigError
from datasets.image import Image, Intensity
from datasets.io.discover import open_inputs
from datasets.io.nifti import read_nifti
from datasets.phantoms import ct_phantom, default_grid, film_phantom, slide_phantom
from datasets.picture_slide import PictureSlide
from datasets.study import Loaded, Series, Study
from pipelines.examination import Clock, Seen
from pipelines.explain.explaining import Explaining
from pipelines.explain.files import Explained, drawn
from pipelines.explain.grad_cam import GradCam
from pipelines.explain.rise import Rise
from pipelines.explain.targets import ClassLogit
from pipelines.explain.wanted import Wanted
from pipelines.outputs import write_result
from pipelines.regions import components_by_size
from pipelines.results import Result
from pipelines.run import Pipeline
from pipelines.score import run_key
from pipelines.task import load_task
from pipelines.tensors import as_tensor
from tests.pipelines.slide_scene import FormulaSlide, slide_study


def film() -> Image:
    """A phantom film, its last columns repeated to make it square."""
    array = film_phantom(31, findings=["cardiomegaly", "effusion"]).image(256).array
    missing = array.shape[2] - array.shape[1]
    return Image(np.pad(array, ((0, 0), (0, missing), (0, 0), (0, 0)), mode="edge"), Intensity.GREY)


FILM = film()


def study_of(image: Image, modality: str) -> Study:
    series = Series("1", modality, "", image.shape[2], None, (), None, lambda: Loaded(image))
    return Study("one", "here", (series,))


@pytest.fixture(scope="module")
def films() -> Pipeline:
    return Pipeline.load(load_task("chest_xray"), "cpu")


@pytest.fixture(scope="module")
def livers() -> Pipeline:
    return Pipeline.load(load_task("liver_ct"), "cpu")


def explained(pipeline: Pipeline, study: Study, **wanted: object) -> Result:
    settings = {"methods": ("grad_cam",), "budget": "none", **wanted}
    return Explaining.of(pipeline, Wanted.model_validate(settings)).run(study)


def map_of(result: Result, folder: Path, number: int = 0) -> np.ndarray:
    written = write_result(result, load_task(result.task), folder)
    return np.asarray(tifffile.imread(folder / written.explanations[number].files["map"]))


def test_findings_are_those_without_explanations(films: Pipeline) -> None:
    study = study_of(FILM, "DX")
    plain, told = films.run(study), explained(films, study)
    assert told.findings == plain.findings
    called = [finding.label for finding in plain.findings if finding.positive]
    assert called
    assert [one.label for one in told.explanations] == called
    assert not plain.explanations


def test_a_map_of_the_forward_pass_already_made_is_that_of_one_of_its_own(films: Pipeline, tmp_path: Path) -> None:
    study = study_of(FILM, "DX")
    pipeline = Explaining.of(films, Wanted(methods=("grad_cam",), budget="none", labels=("effusion",)))
    result = pipeline.run(study)
    own = map_of(result, tmp_path)
    (view,) = films.task.views(films.task.choose(study), Clock())  # type: ignore[attr-defined]
    index = films.task.judge.names.index("effusion")  # type: ignore[attr-defined]
    assert pipeline.built is not None
    inputs = as_tensor(view.prepared)[:, 0].float()[None]
    apart = GradCam().explain(pipeline.built, inputs, [ClassLogit(index)])[0, 0].numpy()
    # The phantom is square: 128 pixels of the network are every second of its 256, and their middles.
    halves = own.reshape(128, 2, 128, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(halves[2:-2, 2:-2], apart[2:-2, 2:-2], atol=1e-2 * apart.max())


def test_a_picture_has_a_picture_and_a_map_of_its_size(films: Pipeline, tmp_path: Path) -> None:
    result = explained(films, study_of(FILM, "DX"), labels=("cardiomegaly",), methods=("grad_cam", "saliency"))
    assert map_of(result, tmp_path).shape == (256, 256)
    document = json.loads((tmp_path / "result.json").read_text())
    for told in document["explanations"]:
        assert told["label"] == "cardiomegaly"
        assert told["file"] == told["files"]["picture"]
        with Pillow.open(tmp_path / told["file"]) as picture:
            assert min(picture.size) > 256
        assert told["score_card"] is None
    assert (tmp_path / document["outputs"]["explanations"]).is_file()


def test_a_score_card_stands_with_the_map(films: Pipeline) -> None:
    result = explained(films, study_of(FILM, "DX"), labels=("cardiomegaly",), budget="quick")
    (told,) = result.explanations
    assert told.score_card is not None
    assert told.score_card.verdict in ("faithful", "not_faithful")
    assert (told.score_card.verdict == "faithful") == (not told.score_card.reasons)
    assert 0.0 <= told.score_card.deletion_auc <= 1.0


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"labels": ("gout",)}, "gout"),
        ({"lesion": 1}, "lesion 1"),
        ({"methods": ("lime",)}, "lime"),
        ({"settings": {"grad_cam": {"depth": 3}}}, "depth"),
    ],
)
def test_what_cannot_be_explained_is_told(films: Pipeline, wanted: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        explained(films, study_of(FILM, "DX"), **wanted)


def test_a_slide_is_explained_where_its_regions_are(tmp_path: Path) -> None:
    pipeline = Pipeline.load(load_task("histopathology"), "cpu")
    phantom, size_um, mpp = slide_phantom(77, (2400.0, 2000.0), tumors=2), (2400.0, 2000.0), 0.97
    columns, rows = (round(edge / mpp) for edge in size_um)
    study = slide_study(PictureSlide([phantom.read(0.0, 0.0, columns, rows, mpp)], mpp))
    plain = pipeline.run(study)
    regions = [one for one in plain.findings if one.positive][:3]
    assert regions
    result = explained(pipeline, study, methods=("grad_cam",))
    assert result.findings == plain.findings
    assert [one.about for one in result.explanations] == [f"region {n}" for n in range(1, len(regions) + 1)]
    heat = map_of(result, tmp_path)
    assert heat.shape == (352, 352)
    at_um = result.explanations[0].at_um
    assert at_um is not None
    x, y = (at + (np.arange(352) + 0.5) * mpp for at in at_um)
    tumor = phantom.is_tumor(*np.meshgrid(x, y))
    assert heat[tumor].mean() > 2 * max(heat[~tumor].mean(), 0.0)
    with tifffile.TiffFile(tmp_path / result.explanations[0].files["map"]) as file:
        pixels, centimetres = file.pages[0].tags["XResolution"].value  # type: ignore[union-attr]
    assert pixels / centimetres == pytest.approx(1e4 / mpp)
    told = json.loads((tmp_path / "result.json").read_text())["explanations"][0]
    assert told["um_per_px"] == mpp
    assert told["at_um"] == pytest.approx(at_um)
    second = explained(pipeline, study, lesion=len(regions))
    assert [one.about for one in second.explanations] == [f"region {len(regions)}"]
    with pytest.raises(ConfigError, match="region 9"):
        explained(pipeline, study, lesion=9)


def test_a_loose_patch_is_explained(tmp_path: Path) -> None:
    pixels = FormulaSlide(mpp=0.97).read(500.0, 400.0, 96, 96, 0.97)
    Pillow.fromarray(pixels).save(tmp_path / "patch.png")
    with open_inputs([tmp_path / "patch.png"]) as inventory:
        (study,) = inventory.studies
        result = explained(Pipeline.load(load_task("histopathology"), "cpu"), study)
    (told,) = result.explanations
    assert (told.about, told.at_um) == ("", None)
    assert map_of(result, tmp_path / "out").shape == (96, 96)


def test_results_with_and_without_explanations_do_not_share_a_folder(films: Pipeline) -> None:
    keys = {run_key(films)}
    for wanted in (Wanted(methods=("grad_cam",)), Wanted(methods=("cam",)), Wanted(methods=("cam",), budget="full")):
        keys.add(run_key(Explaining.of(films, wanted)))
    assert len(keys) == 4


def test_why_this_lesion(livers: Pipeline, tmp_path: Path) -> None:
    phantom, grid = ct_phantom(3), default_grid((3.0, 3.0, 5.0), "LPS", (3.0, -2.0, 4.0))
    image = phantom.image(grid)
    study = study_of(image, "CT")
    plain = livers.run(study)
    assert plain.labels is not None
    numbered, count = components_by_size(plain.labels.array[0] == 2)
    assert count >= 1
    result = explained(livers, study, labels=("liver_tumor",), lesion=count, methods=("saliency",))
    write_result(result, livers.task, tmp_path)
    (told,) = result.explanations
    assert told.about == f"lesion {count}"
    heat = read_nifti(tmp_path / told.file, Intensity.GREY).image
    np.testing.assert_allclose(heat.affine, image.affine, atol=1e-4)
    assert heat.shape == image.shape
    values = heat.array[0]
    # Gradients of a lesion's logits are largest in and around it, and are asked only of slices that show it.
    at = np.array(np.unravel_index(values.argmax(), values.shape))
    inside = np.argwhere(numbered == count)
    assert np.linalg.norm((inside - at) * grid.spacing_mm, axis=1).min() < 15.0
    slices = np.flatnonzero(values.any(axis=(0, 1)))
    shown = np.flatnonzero((numbered == count).any(axis=(0, 1)))
    assert slices.min() >= shown.min() - 3
    assert slices.max() <= shown.max() + 3
    with pytest.raises(ConfigError, match=f"from 1 to {count}"):
        explained(livers, study, labels=("liver_tumor",), lesion=count + 1)


def test_both_doors_write_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Pillow.fromarray(FILM.array[0, :, :, 0].T.copy()).save(tmp_path / "film.png")
    common = [str(tmp_path / "film.png"), "--task", "chest_xray", "--out"]
    assert main(["explain", *common, str(tmp_path / "a"), "--method", "grad_cam"]) == 0
    assert main(["score", *common, str(tmp_path / "b"), "--explain", "grad_cam"]) == 0
    capsys.readouterr()
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / d / "film").iterdir()} for d in "ab")
    assert first.keys() == second.keys()
    assert any(name.startswith("explanation-") for name in first)
    for name in first.keys() - {"result.json"}:
        assert first[name] == second[name]
    told = [json.loads(one["result.json"])["explanations"] for one in (first, second)]
    assert told[0] == told[1]


def test_a_map_whose_zero_means_nothing_is_drawn_from_its_lowest_value() -> None:
    values = np.linspace(0.4, 0.9, 16, dtype=np.float32).reshape(1, 4, 4, 1)
    heat = Image(values, Intensity.GREY)
    rise, grad_cam = (Explained(chosen, "mass", "", heat, Seen(heat, heat), None) for chosen in (Rise(), GradCam()))
    np.testing.assert_allclose(drawn(rise).heat, heat.slices()[0] - 0.4, atol=1e-6)
    np.testing.assert_array_equal(drawn(grad_cam).heat, heat.slices()[0])
