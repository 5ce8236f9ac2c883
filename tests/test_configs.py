"""Every YAML that ships builds its task and its network."""

from pathlib import Path

import pytest

from networks.build import build, parameter_count
from pipelines.model_store import SHIPPED_FOLDER, read_card
from pipelines.task import list_tasks, load_task
from pipelines.training.lessons import lesson_of


@pytest.mark.parametrize("name", list_tasks())
def test_it_builds(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    network = build(task.network, device="meta")
    assert sum(parameter.numel() for parameter in network.parameters()) > 0
    if task.kind == "liver_ct":
        assert task.network.out_channels == task.label_set.classes


@pytest.mark.parametrize("name", list_tasks())
def test_it_fits_its_weights(name: str) -> None:
    task = load_task(name)
    card = None if task.weights is None else read_card(SHIPPED_FOLDER / f"{task.weights}.safetensors")
    assert task.suited_to(card).name == name


@pytest.mark.parametrize("name", list_tasks())
def test_its_name_is_what_people_type(name: str) -> None:
    assert name == name.lower()
    assert name.isidentifier()


@pytest.mark.parametrize("name", list_tasks())
def test_its_weights_ship(name: str) -> None:
    task = load_task(name)
    if task.weights is None:
        return
    file = SHIPPED_FOLDER / f"{task.weights}.safetensors"
    assert file.is_file()
    assert file.stat().st_size <= 10_000_000


def test_the_published_network_has_the_papers_parameters() -> None:
    # networks/dense_unet.py tells where the count comes from; three classes, three adjacent slices.
    task = load_task("liver_ct_dense_unet_167")
    assert task.network.widths.block_config == (6, 12, 36, 24)
    assert parameter_count(task.network) > 40_000_000


def test_every_file_in_the_folder_is_a_task(repository: Path) -> None:
    files = [path.name for path in (repository / "configs").iterdir() if path.name != "__pycache__"]
    assert sorted(files) == [f"{name}.yaml" for name in list_tasks()]


@pytest.mark.parametrize("name", [name for name in list_tasks() if load_task(name).kind != "histopathology"])
def test_it_can_be_trained(name: str) -> None:
    lesson = lesson_of(load_task(name))
    training, network = lesson.task.training, lesson.task.network
    patch = training.patch
    assert patch is None or len(patch) == network.spatial_dims
    for stage in training.stages:
        assert type(network).model_validate(network.model_dump() | stage.network)
    known = {"any", *lesson.task.label_set.names}
    assert {place.label for place in training.places} <= known
    weights = training.loss.class_weights
    assert weights is None or len(weights) == max(2, network.out_channels)
