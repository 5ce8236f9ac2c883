"""Files into an index: once each, labelled as somebody says, and again after a stop."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from datasets.codes import RefusalCode
from datasets.errors import ConfigError
from datasets.io.discover import open_inputs
from pipelines.patch_features import FeatureNetwork
from pipelines.patch_index import PatchIndex, Place, source_name
from pipelines.patch_indexing import Added, add_studies, settings_for
from pipelines.patch_labels import Labels
from pipelines.patch_search import nearest
from tests.pipelines.patch_files import narrow_weights, patch, write_picture, write_stack


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return narrow_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def network(weights: Path) -> FeatureNetwork:
    return FeatureNetwork.load(str(weights))


@pytest.fixture
def index(tmp_path: Path, network: FeatureNetwork, weights: Path) -> PatchIndex:
    return PatchIndex.open_or_make(tmp_path / "index", settings_for(network, str(weights)))


def add(index: PatchIndex, network: FeatureNetwork, path: Path, labels: Labels | None = None) -> list[Added]:
    with open_inputs([path]) as inventory:
        return list(add_studies(index, network, inventory.studies, labels or Labels()))


def label_of(index: PatchIndex, network: FeatureNetwork, number: int) -> str:
    (hit,) = nearest(index, network.features(patch(number)[np.newaxis]), 1)[0]
    assert hit.similarity == pytest.approx(1.0, abs=1e-6)
    return hit.place.label


def test_pictures_are_labelled_by_their_folders(tmp_path: Path, index: PatchIndex, network: FeatureNetwork) -> None:
    for number in range(6):
        write_picture(tmp_path / "all" / ("odd" if number % 2 else "even") / f"{number}.png", number)
    (tmp_path / "all" / "even" / "broken.png").write_bytes(b"no picture")
    done = add(index, network, tmp_path / "all", Labels.read("folders"))
    assert [label_of(index, network, number) for number in range(6)] == ["even", "odd"] * 3
    assert sum(one.labelled for one in done) == sum(one.patches for one in done) == len(index) == 6
    (broken,) = [one for one in done if one.refusal is not None]
    assert broken.refusal.code is RefusalCode.UNREADABLE_FILE
    assert "broken.png: refused (unreadable_file)" in broken.told


def test_files_that_are_there_are_passed_over(tmp_path: Path, index: PatchIndex, network: FeatureNetwork) -> None:
    for number in range(3):
        write_picture(tmp_path / "all" / f"{number}.png", number)
    add(index, network, tmp_path / "all" / "1.png")
    done = add(index, network, tmp_path / "all")
    assert [one.before for one in done] == [False, True, False]
    assert len(index) == 3


def test_what_a_stopped_run_had_written_is_kept(
    tmp_path: Path, index: PatchIndex, network: FeatureNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.patch_indexing._PART", 2)
    for number in range(5):
        write_picture(tmp_path / "all" / f"{number}.png", number)
    with open_inputs([tmp_path / "all"]) as inventory:
        running = add_studies(index, network, inventory.studies, Labels())
        for _ in range(3):
            next(running)
        running.close()
    assert len(index) == 2
    assert [one.before for one in add(index, network, tmp_path / "all")] == [True, True, False, False, False]
    assert len(index) == 5


def test_pcam_keeps_its_labels_in_another_file(tmp_path: Path, index: PatchIndex, network: FeatureNetwork) -> None:
    stack = write_stack(tmp_path / "x.h5", 70, tmp_path / "y.h5")
    add(index, network, stack, Labels.read(str(tmp_path / "y.h5")))
    assert [label_of(index, network, number) for number in (0, 1, 68, 69)] == ["normal", "tumor"] * 2


def test_labels_of_another_file_are_refused(tmp_path: Path, index: PatchIndex, network: FeatureNetwork) -> None:
    write_stack(tmp_path / "other.h5", 3, tmp_path / "y.h5")
    stack = write_stack(tmp_path / "x.h5", 4)
    with pytest.raises(ConfigError, match="3 labels for 4 pictures"):
        add(index, network, stack, Labels.read(str(tmp_path / "y.h5")))
    assert len(index) == 0


def test_a_table_labels_files_and_pictures_in_them(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(
        "source,index,label\na.png,,tumor\nsub/../many.h5,3,fat\nmany.h5,,stroma\n", encoding="utf-8"
    )
    labels = Labels.read(str(tmp_path / "labels.csv"))
    many = source_name(tmp_path / "many.h5")
    assert labels.of(Place(source_name(tmp_path / "a.png"))) == "tumor"
    assert (labels.of(Place(many, 3)), labels.of(Place(many, 4))) == ("fat", "stroma")
    assert labels.of(Place(source_name(tmp_path / "b.png"))) == ""


def test_labels_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "wrong.csv").write_text("file,class\na.png,1\n", encoding="utf-8")
    with h5py.File(tmp_path / "none.h5", "w") as file:
        file["x"] = np.zeros(3)
    with h5py.File(tmp_path / "grades.h5", "w") as file:
        file["y"] = np.array([0, 3])
    for name in ("wrong.csv", "gone.csv", "none.h5", "gone.h5", "grades.h5"):
        with pytest.raises(ConfigError, match=name):
            Labels.read(str(tmp_path / name))
    assert Labels.read(None).of(Place("/a/b.png")) == ""


def test_an_index_knows_whose_features_it_holds(index: PatchIndex, network: FeatureNetwork, weights: Path) -> None:
    settings = PatchIndex.open(index.folder).settings
    assert settings.weights == str(weights)
    assert settings.weights_sha256 == network.model.weights_sha256
    assert (settings.width, settings.patch_px, settings.mpp) == (network.width, 96, 0.97)
    assert settings.network["block_config"] == [2, 2]
