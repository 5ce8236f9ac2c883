"""Patches are learnt from as they are scored, in the layout of PatchCamelyon."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.example import ClassTruth, Example, FindingsTruth
from datasets.image import Image, Intensity
from datasets.layouts import open_dataset
from datasets.phantoms import slide_patches
from datasets.study import Loaded, Series, Study
from pipelines.model_store import read_card
from pipelines.run import Pipeline
from pipelines.task import load_task
from pipelines.train import Request, train
from pipelines.training.lessons import lesson_of
from pipelines.training.patch_lesson import PatchLesson

SMALL = (
    "weights=null",
    "refiner=null",
    "network.init_features=8",
    "network.growth_rate=4",
    "network.block_config=[2, 2]",
    "training.steps=4",
    "training.batch=4",
    "training.validation.every=2",
    "training.logger=[csv]",
)


def lesson(*overrides: str) -> PatchLesson:
    found = lesson_of(load_task("histopathology", overrides))
    assert isinstance(found, PatchLesson)
    return found


def patch(edge: int = 96, channels: int = 3, truth: object = None) -> Example:
    pixels = np.random.default_rng(0).integers(0, 256, (channels, edge, edge, 1), dtype=np.uint8)
    image = Image(pixels, Intensity.COLOUR if channels == 3 else Intensity.GREY)
    series = Series("1", "", "", 1, None, (), None, lambda: Loaded(image))
    return Example(Study("one", "here", (series,)), truth or FindingsTruth({"tumor": 1.0}), "one")  # type: ignore[arg-type]


def camelyon(folder: Path, parts: dict[str, int]) -> Path:
    """Phantom patches as PCam lies on disk."""
    folder.mkdir()
    for number, (word, count) in enumerate(parts.items()):
        patches = slide_patches(count, seed=100 * number)
        for letter, values in (("x", patches.pixels), ("y", patches.labels.reshape(-1, 1, 1, 1))):
            with h5py.File(folder / f"camelyonpatch_level_2_split_{word}_{letter}.h5", "w") as file:
                file[letter] = values
    return folder


def test_pixels_are_those_the_weights_expect() -> None:
    example = patch()
    (case,) = lesson("weights=null").prepare(example)
    # ImageNet's red: mean 0.485, deviation 0.229; (C, columns, rows, 1) becomes (C, 1, rows, columns).
    red = example.study.series[0].load().image.array[0, :, :, 0].T / 255
    np.testing.assert_allclose(case.inputs[0, 0], (red - 0.485) / 0.229, atol=1e-6)
    assert case.inputs.shape == (3, 1, 96, 96)
    assert case.truth.tolist() == [1.0]


@pytest.mark.parametrize(
    ("truth", "wanted"),
    [
        (FindingsTruth({"tumor": 0.0}), [1.0, 0.0]),
        (FindingsTruth({"tumor": 1.0}), [0.0, 1.0]),
        (ClassTruth(1, ("no_tumor", "tumor")), [0.0, 1.0]),
    ],
)
def test_two_logits_are_none_and_tumour(truth: object, wanted: Sequence[float]) -> None:
    (case,) = lesson("network.out_channels=2", "weights=null").prepare(patch(truth=truth))
    assert case.truth.tolist() == wanted


@pytest.mark.parametrize(
    ("example", "code"),
    [(patch(edge=64), RefusalCode.UNSUPPORTED_DIMENSIONS), (patch(channels=1), RefusalCode.WRONG_MODALITY)],
    ids=["another size", "grey"],
)
def test_what_is_no_patch_is_refused(example: Example, code: RefusalCode) -> None:
    with pytest.raises(InputRefused) as refused:
        lesson("weights=null").prepare(example)
    assert refused.value.code is code


def test_a_set_like_patch_camelyon_is_learnt_from_and_scored_as_it_was_shown(tmp_path: Path) -> None:
    data = camelyon(tmp_path / "pcam", {"train": 8, "valid": 4})
    trained = train(Request("histopathology", data, tmp_path / "out", overrides=SMALL, device="cpu"))
    assert len(trained.parts.train) == 8
    assert len(trained.held) == 4
    card = read_card(trained.weights)
    assert card is not None
    assert card.labels == ("tumor",)
    assert card.input is not None
    assert card.input.size_px == 96
    pipeline = Pipeline.load(trained.task.model_copy(update={"weights": str(trained.weights)}), "cpu")
    own = lesson(*SMALL)
    for example in (one for one in open_dataset(data).examples if one.split == "validation"):
        (case,) = own.prepare(example)
        with torch.inference_mode():
            logit = pipeline.network(torch.from_numpy(np.asarray(case.inputs[:, 0]))[None])
        (finding,) = pipeline.run(example.study).findings
        assert finding.raw_probability == pytest.approx(float(torch.sigmoid(logit)), abs=1e-4)
