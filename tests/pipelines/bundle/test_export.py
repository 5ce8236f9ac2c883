"""Exported bundles: MONAI verifies and runs them, and they say what scoring says."""

import ast
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import verify_metadata
from monai.transforms.intensity.dictionary import ScaleIntensityRanged
from PIL import Image as Pillow
from safetensors.torch import load_file

from datasets.errors import ConfigError, WeightsError
from datasets.io.discover import open_inputs
from datasets.io.nifti import write_nifti
from datasets.phantoms import ct_phantom, default_grid
from pipelines.bundle.export import export_bundle
from pipelines.model_store import SHIPPED_FOLDER
from pipelines.run import Pipeline
from pipelines.task import load_task
from tests.pipelines.bundle.bundles import opened

SCHEMA = Path(__file__).parent / "metadata_schema.json"
BUNDLES = ("liver", "nuclei", "pneumonia")
# MONAI tells that it checks no hash of a schema at hand, and of transforms that will change.
pytestmark = pytest.mark.filterwarnings(
    "ignore:::monai", "ignore:No hash value", "ignore:.*nvImageCodec", "ignore::FutureWarning"
)


@pytest.fixture(params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def _score(folder: Path, task: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    pipeline = Pipeline.load(load_task(task, overrides), "cpu")
    with open_inputs([folder]) as inventory:
        return {Path(study.source).name: pipeline.run(study) for study in inventory.studies}


def test_the_metadata_fit_the_public_schema(bundle: Path) -> None:
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(SCHEMA))


def test_a_metadata_without_a_version_does_not(bundle: Path, tmp_path: Path) -> None:
    document = json.loads((bundle / "configs" / "metadata.json").read_bytes())
    del document["monai_version"]
    (tmp_path / "metadata.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="Failed validating"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(SCHEMA))


def test_every_property_monai_requires_is_there(bundle: Path) -> None:
    config = json.loads((bundle / "configs" / "inference.json").read_bytes())
    required = {"bundle_root", "device", "dataset_dir", "dataset", "evaluator", "network_def", "inferer"}
    assert required | {"preprocessing", "postprocessing"} <= config.keys()


def test_a_volume_is_labelled_as_scoring_labels_it(tmp_path: Path) -> None:
    coarse = ["spacing_mm=[2.5, 2.5, 5.0]", "liver_threshold=0.2", "tumor_threshold=0.2"]
    liver = export_bundle(load_task("liver_ct", coarse), None, tmp_path / "liver").path
    images = tmp_path / "images"
    # Askew and on its side: the way there and back is the hard part.
    for name, grid in (
        ("a", default_grid(spacing_mm=(3.0, 3.0, 6.0), rotation_deg=(4.0, 2.0, 3.0))),
        ("b", default_grid(spacing_mm=(3.0, 3.0, 6.0), orientation="PIR")),
    ):
        write_nifti(ct_phantom(10001).image(grid), images / f"{name}.nii.gz")
    with opened(liver, dataset_dir=str(images), output_dir=str(tmp_path / "out")) as parser:
        assert parser.get_parsed_content("evaluator").run() == 2
    for name, result in _score(images, "liver_ct", coarse).items():
        found = nib.load(tmp_path / "out" / f"{name.split('.')[0]}_seg.nii.gz")
        assert result.labels is not None
        np.testing.assert_array_equal(np.asarray(found.dataobj), result.labels.array[0])
        np.testing.assert_allclose(found.affine, result.labels.affine, atol=1e-4)
        assert np.count_nonzero(result.labels.array) > 100


def test_films_have_the_probabilities_of_scoring(pneumonia: Path, tmp_path: Path) -> None:
    images, rng = tmp_path / "images", np.random.default_rng(0)
    images.mkdir()
    for number, shape in enumerate(((40, 64), (90, 70), (56, 56))):
        pixels = np.clip(rng.normal(120, 40, shape), 0, 255).astype(np.uint8)
        Pillow.fromarray(pixels).save(images / f"{number}.png")
    with opened(pneumonia, dataset_dir=str(images), output_dir=str(tmp_path / "out")) as parser:
        parser.get_parsed_content("evaluator").run()
    scored = _score(images, "chest_pneumonia")
    assert len(scored) == 3
    for name, result in scored.items():
        told = json.loads((tmp_path / "out" / f"{name}.json").read_bytes())
        assert told["findings"] == [finding.model_dump(mode="json") for finding in result.findings]


def test_pictures_are_labelled_as_scoring_labels_them(nuclei: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    colours = np.random.default_rng(1).integers(0, 60, (70, 90, 4), dtype=np.uint8)
    colours[20:36, 30:48, :3] += 150
    colours[..., 3] = 255
    Pillow.fromarray(colours, "RGBA").save(images / "rgba.png")
    with opened(nuclei, dataset_dir=str(images), output_dir=str(tmp_path / "out")) as parser:
        parser.get_parsed_content("evaluator").run()
    (result,) = _score(images, "nuclei").values()
    assert result.labels is not None
    found = np.asarray(Pillow.open(tmp_path / "out" / "rgba_seg.png"))
    np.testing.assert_array_equal(found > 0, result.labels.array[0, :, :, 0].T > 0)
    assert found.any()


def test_the_tasks_own_transforms_are_there_unchanged(liver: Path) -> None:
    own = load_task("liver_ct").transforms().transforms[0]  # type: ignore[attr-defined]
    with opened(liver) as parser:
        transforms = parser.get_parsed_content("preprocessing").transforms
    (exported,) = (one for one in transforms if isinstance(one, ScaleIntensityRanged))
    values = torch.linspace(-1000.0, 1000.0, 50).reshape(1, -1)
    torch.testing.assert_close(torch.as_tensor(exported({"image": values})["image"]), torch.as_tensor(own(values)))


def test_weights_are_tensors_alone_and_all_of_them(bundle: Path) -> None:
    told = json.loads((bundle / "configs" / "metadata.json").read_bytes())
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    shipped = load_file(SHIPPED_FOLDER / f"{told['name']}.safetensors")
    assert state.keys() == shipped.keys()
    assert all(torch.equal(state[name], shipped[name]) for name in shipped)


def test_scripts_import_nothing_of_ours_from_outside(bundle: Path) -> None:
    for path in (bundle / "scripts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] in ("datasets", "networks", "pipelines", "app")]


def test_the_same_export_twice_is_the_same(pneumonia: Path, tmp_path: Path) -> None:
    again = export_bundle(load_task("chest_pneumonia"), "chest_pneumonia", tmp_path / "again").path
    for path in (path for path in pneumonia.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        assert (again / path.relative_to(pneumonia)).read_bytes() == path.read_bytes(), path


def test_a_task_that_cannot_be_run_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one volume"):
        export_bundle(load_task("histopathology"), None, tmp_path / "slides")
    with pytest.raises(WeightsError, match="weights to export"):
        export_bundle(load_task("liver_ct", ["weights=null"]), None, tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_nothing_but_a_bundle_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for force in (False, True):
        with pytest.raises(WeightsError, match="empty folder"):
            export_bundle(load_task("chest_pneumonia"), None, tmp_path, force=force)
    assert (tmp_path / "thesis.tex").is_file()


@pytest.mark.slow
def test_monai_runs_it_where_denselens_is_not(pneumonia: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Pillow.fromarray(np.arange(56 * 56, dtype=np.uint32).reshape(56, 56).astype(np.uint8)).save(
        tmp_path / "images" / "a.png"
    )
    # Whatever is imported from the four packages' own names stops the run.
    blocked = "import sys\nfor name in ('datasets', 'networks', 'pipelines', 'app'): sys.modules[name] = None\n"
    code = f"{blocked}from monai.bundle import run\nrun(config_file='configs/inference.json', bundle_root='.', "
    code += f"dataset_dir={str(tmp_path / 'images')!r}, output_dir={str(tmp_path / 'out')!r})"
    subprocess.run([sys.executable, "-c", code], cwd=pneumonia, check=True, capture_output=True)
    assert (tmp_path / "out" / "a.png.json").is_file()
