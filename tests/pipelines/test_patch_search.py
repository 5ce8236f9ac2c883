"""The index on the disk, and neighbours against scikit-learn's."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.neighbors import NearestNeighbors

import pipelines.patch_index
from datasets.errors import ConfigError
from pipelines.patch_index import INDEX, IndexSettings, PatchIndex, Place, source_name
from pipelines.patch_search import Hit, Vote, nearest, vote

WIDTH = 12
SETTINGS = IndexSettings(weights="some", weights_sha256="ab" * 32, width=WIDTH, patch_px=96, mpp=0.97)


def unit(count: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def named(count: int, start: int = 0) -> list[Place]:
    return [Place(f"/slides/{number}.png", label=f"kind {number % 3}") for number in range(start, start + count)]


@pytest.fixture
def index(tmp_path: Path) -> PatchIndex:
    """Three parts of 50, 1 and 30 patches."""
    made = PatchIndex.open_or_make(tmp_path / "index", SETTINGS)
    features = unit(81)
    for low, high in ((0, 50), (50, 51), (51, 81)):
        made.add(features[low:high], named(high - low, low))
    return made


def test_neighbours_are_those_of_a_foreign_implementation(index: PatchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines.patch_index, "_ROWS", 7)  # pieces that end within parts
    asked = unit(9, seed=5)
    judge = NearestNeighbors(n_neighbors=6, metric="cosine", algorithm="brute").fit(unit(81))
    distances, rows = judge.kneighbors(asked)
    found = nearest(index, asked, 6)
    assert [[hit.place.source for hit in hits] for hits in found] == [[f"/slides/{row}.png" for row in r] for r in rows]
    likeness = np.array([[hit.similarity for hit in hits] for hits in found])
    np.testing.assert_allclose(likeness, 1 - distances, atol=5e-4)  # half precision on the disk


def test_a_patch_is_its_own_nearest_neighbour(index: PatchIndex) -> None:
    for row, hits in enumerate(nearest(index, unit(81), 1)):
        assert hits[0].place == named(1, row)[0]
        assert hits[0].similarity == pytest.approx(1.0, abs=1e-6)


def test_more_neighbours_than_patches_are_all_of_them(index: PatchIndex) -> None:
    assert len(nearest(index, unit(1), 500)[0]) == 81
    assert nearest(index, unit(0), 3) == []
    with pytest.raises(ValueError, match="neighbour"):
        nearest(index, unit(1), 0)


def test_many_questions_are_answered_in_their_order(index: PatchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.patch_search._QUERIES", 4)
    assert [hits[0].place for hits in nearest(index, unit(81)[::-1], 1)] == named(81)[::-1]


def test_of_equals_the_first_added_comes_first(tmp_path: Path) -> None:
    made = PatchIndex.open_or_make(tmp_path, SETTINGS)
    made.add(np.repeat(unit(1), 5, axis=0), named(5))
    assert [hit.place.source for hit in nearest(made, unit(1), 3)[0]] == [f"/slides/{n}.png" for n in range(3)]


def test_the_majority_decides_and_between_equals_the_more_similar() -> None:
    def hits(*said: tuple[str, float]) -> list[Hit]:
        return [Hit(similarity, Place("x", label=label)) for label, similarity in said]

    assert vote(hits(("a", 0.9), ("b", 0.8), ("b", 0.7), ("", 0.99))) == Vote("b", 2 / 3, 3)
    assert vote(hits(("a", 0.5), ("b", 0.9), ("b", 0.1), ("a", 0.6))) == Vote("a", 0.5, 4)
    assert vote(hits(("", 0.9))) is None
    assert vote([]) is None


def test_what_was_added_is_read_back(index: PatchIndex) -> None:
    again = PatchIndex.open(index.folder)
    assert again.settings == SETTINGS
    assert len(again) == 81
    assert again.sources == {place.source for place in named(81)}
    parts = sorted(index.folder.glob("*.safetensors"))
    assert [load_file(part)["features"].shape for part in parts] == [(50, WIDTH), (1, WIDTH), (30, WIDTH)]
    assert load_file(parts[0])["features"].dtype == np.float16


@pytest.mark.parametrize(
    "place",
    [
        Place('/a, b/"c".h5', index=7, label="x,y"),
        Place("/slide.svs", x_um=0.0, y_um=-12.25),
        Place("/line\nbreak.png", label="é"),
        Place("/no utf \udcff.png"),
    ],
)
def test_any_name_and_place_survives(tmp_path: Path, place: Place) -> None:
    made = PatchIndex.open_or_make(tmp_path, SETTINGS)
    made.add(unit(1), [place])
    assert nearest(PatchIndex.open(tmp_path), unit(1), 1)[0][0].place == place


def test_features_of_other_weights_are_refused(index: PatchIndex) -> None:
    for change in ({"weights_sha256": "cd" * 32}, {"width": 13}, {"mpp": 0.5}, {"patch_px": 64}):
        with pytest.raises(ConfigError, match=next(iter(change))):
            PatchIndex.open_or_make(index.folder, SETTINGS.model_copy(update=change))
    with pytest.raises(ConfigError, match="12 numbers"):
        nearest(index, np.ones((1, 5), np.float32), 1)
    assert len(index) == 81


def test_an_addition_that_is_stopped_leaves_nothing(index: PatchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(path: Path, content: bytes) -> None:
        if path.suffix == ".safetensors":
            raise KeyboardInterrupt
        path.write_bytes(content)

    monkeypatch.setattr(pipelines.patch_index, "write_bytes", stopped)
    with pytest.raises(KeyboardInterrupt):
        index.add(unit(3), named(3, 900))
    monkeypatch.undo()
    again = PatchIndex.open(index.folder)
    assert len(again) == 81
    assert "/slides/900.png" not in again.sources
    index.add(unit(3), named(3, 900))
    assert len(again) == 84


def test_damage_is_told(index: PatchIndex) -> None:
    part = sorted(index.folder.glob("*.safetensors"))[0]
    table, features = part.with_suffix(".csv").read_bytes(), part.read_bytes()
    part.with_suffix(".csv").write_bytes(b"\n".join(table.splitlines()[:-1]) + b"\n")
    with pytest.raises(ConfigError, match="49 rows for 50 features"):
        nearest(index, unit(1), 81)
    part.with_suffix(".csv").write_bytes(table.replace(b"source", b"saucer"))
    with pytest.raises(ConfigError, match="whole"):
        nearest(index, unit(1), 81)
    part.with_suffix(".csv").write_bytes(table)
    part.write_bytes(features[:40])
    with pytest.raises(ConfigError, match="whole"):
        len(index)
    (index.folder / INDEX).write_text(json.dumps({"schema": 2}))
    with pytest.raises(ConfigError, match=INDEX):
        PatchIndex.open(index.folder)


def test_no_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--add"):
        PatchIndex.open(tmp_path)


def test_shapes_must_fit(index: PatchIndex) -> None:
    with pytest.raises(ValueError, match="features"):
        index.add(unit(3), named(2))
    index.add(unit(0), [])
    assert len(list(index.folder.glob("*.safetensors"))) == 3


def test_a_file_has_one_name_however_it_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_name(Path("a/../b.png")) == source_name(tmp_path / "b.png") == os.fspath(tmp_path / "b.png")
