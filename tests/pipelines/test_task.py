"""Tasks from YAML: overrides, and mistakes told in three parts."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from datasets.errors import ConfigError
from networks.configs import UNetConfig
from pipelines.task import CONFIG_FOLDER, list_tasks, load_task

SMALL = """
kind: liver_ct
network: {name: dense_unet, init_features: 8, growth_rate: 4, block_config: [2, 2], feature_channels: 4}
"""


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str | bytes, name: str = "mine.yaml") -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def _refusal(name: str, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_task(name, overrides)
    assert caught.value.expected
    assert caught.value.got
    assert caught.value.advice
    assert "\n" not in str(caught.value)
    return caught.value


def test_tasks_are_the_files_in_configs() -> None:
    assert {"liver_ct", "liver_ct_dense_unet_167"} <= set(list_tasks())
    assert list_tasks() == tuple(sorted(path.stem for path in CONFIG_FOLDER.glob("*.yaml")))


def test_a_file_is_named_after_itself_unless_it_says_otherwise(written) -> None:
    assert load_task(written(SMALL)).name == "mine"
    assert load_task(written(SMALL + "name: other\n")).name == "other"
    # Without a kind the file's name is the kind.
    kindless = SMALL.replace("kind: liver_ct", "")
    assert load_task(written(kindless, "liver_ct.yml")).kind == "liver_ct"
    assert _refusal(written(kindless)).got == "'mine'"


def test_overrides_are_read_as_yaml_and_win() -> None:
    task = load_task(
        "liver_ct",
        [
            "output.probability=true",
            "windows.batch=7",
            "weights=null",
            "spacing_mm=[1, null, 2.5]",
            "network.dropout=0",
        ],
    )
    assert task.output.probability is True
    assert task.windows.batch == 7
    assert task.weights is None
    assert task.spacing_mm == (1.0, None, 2.5)
    assert task.network.dropout == 0.0
    assert load_task("liver_ct", ["tumor_threshold=0.3", "tumor_threshold=0.4"]).tumor_threshold == 0.4
    # An equals sign may stand in a value.
    assert load_task("liver_ct", ["weights=a=b.safetensors"]).weights == "a=b.safetensors"


def test_overrides_do_not_stay() -> None:
    before = load_task("liver_ct")
    load_task("liver_ct", ["windows.batch=7"])
    assert load_task("liver_ct") == before


@pytest.mark.parametrize("name", ["lung_ct", "", "liver_ct.yaml", "no/such/file.yaml", "../configs"])
def test_unknown_tasks_are_told_the_known_ones(name: str) -> None:
    assert "liver_ct" in _refusal(name).expected


def test_unknown_kinds_are_told_the_known_ones(written) -> None:
    for kind in ("lung_ct", "__init__", "../task", "os", "[1]", "''"):
        assert "liver_ct" in _refusal(written(SMALL.replace("liver_ct", kind))).expected


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("colour=red", "colour: "),
        ("windows.colour=red", "windows.colour: "),
        ("network.colour=red", "network.colour: "),
        ("network.growth_rate=-1", "network.growth_rate: "),
        ("network.block_config=[3, 0]", "network.block_config.1: "),
        ("network.name=resnet", "network: "),
        ("windows.batch=many", "windows.batch: "),
        ("windows.size=[0, 5]", "windows.size.0: "),
        ("tumor_threshold=1.5", "tumor_threshold: "),
        ("spacing_mm=[0, 1, 1]", "spacing_mm.0: "),
        ("spacing_mm=[1, 1]", "spacing_mm.2: "),
        ("min_images=0", "min_images: "),
        ("modalities=7", "modalities: "),
    ],
)
def test_mistakes_are_told_with_the_key_as_it_stands_in_the_yaml(override: str, where: str) -> None:
    error = _refusal("liver_ct", override)
    assert error.got.startswith(where)
    assert error.expected == "settings that fit the task liver_ct"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("network={name: densenet, out_channels: 3}",), "classifier"),
        (("network.out_channels=2",), "3 classes"),
        (("windows.size=[8, 8, 8]",), "windows.size of 3"),
        (("network={name: unet_plus_plus, out_channels: 3, in_channels: 2}",), "odd in 2D"),
        (
            (
                "network={name: unet_plus_plus, out_channels: 3, in_channels: 3, spatial_dims: 3}",
                "windows.size=[8, 8, 8]",
            ),
            "1 in 3D",
        ),
        (("window_hu=[250, -200]",), "window_hu"),
    ],
)
def test_settings_that_cannot_work_together_are_refused_before_any_study(overrides, told: str) -> None:
    assert told in _refusal("liver_ct", *overrides).got


@pytest.mark.parametrize("override", ["windows", "=3", "", "weights.name=x", "windows.batch.x=1", "windows.batch=[1"])
def test_overrides_that_are_none(override: str) -> None:
    _refusal("liver_ct", override)


@pytest.mark.parametrize(
    "text", ["a: [1", "- a\n- b\n", "", "just text", b"\xff\xfe\x00a", "a: b: c", "!!python/object:os.system {}"]
)
def test_files_that_are_no_yaml_mapping(written, text: str | bytes) -> None:
    assert "mine.yaml" in _refusal(written(text)).got


def test_a_missing_network_is_told(written) -> None:
    assert _refusal(written("kind: liver_ct\n")).got.startswith("network: ")


def test_the_digest_is_that_of_the_settings() -> None:
    assert load_task("liver_ct").digest == load_task("liver_ct").digest
    plain = load_task("liver_ct").digest
    same = load_task("liver_ct", ["tumor_threshold=0.50"])
    assert same.digest == plain
    for override in ("tumor_threshold=0.51", "network.dropout=0.1", "weights=null", "windows.batch=9"):
        assert load_task("liver_ct", [override]).digest != plain


def test_tasks_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_task("liver_ct").tumor_threshold = 0.9


def test_a_task_starts_from_another(tmp_path: Path) -> None:
    base, released = load_task("liver_ct_h_dense_unet"), load_task("liver_ct_h_dense_unet_released")
    assert released.name == "liver_ct_h_dense_unet_released"
    assert (base.network.context, released.network.context) == ("probabilities", "logits")
    assert base.network.slice_network.skips
    assert not released.network.slice_network.skips
    assert released.localise == base.localise
    assert released.tumor_threshold == base.tumor_threshold == 0.9
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: liver_ct_h_dense_unet\ntumor_threshold: 0.4\nwindows: {overlap: 0.25}\n")
    task = load_task(str(mine), ["windows.batch=2"])
    assert (task.tumor_threshold, task.windows.overlap, task.windows.batch) == (0.4, 0.25, 2)
    assert task.windows.size == base.windows.size
    # Another network replaces the block: nothing of the old one is left in it.
    mine.write_text("extends: liver_ct\nnetwork: {name: unet, in_channels: 3, out_channels: 3}\nweights: null\n")
    assert load_task(str(mine)).network == UNetConfig(in_channels=3, out_channels=3)


def test_what_a_task_extends_must_end_somewhere(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(f"extends: {second}\nkind: liver_ct\n")
    second.write_text(f"extends: {first}\n")
    with pytest.raises(ConfigError, match="extends itself"):
        load_task(str(first))
    first.write_text(f"extends: {first}\n")
    with pytest.raises(ConfigError, match="extends itself"):
        load_task(str(first))
    first.write_text("extends: nothing_of_that_name\n")
    with pytest.raises(ConfigError, match="nothing_of_that_name"):
        load_task(str(first))
