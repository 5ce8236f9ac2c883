"""Every entry of the catalogue can be fetched, told and read, as far as that can be known without a network."""

import re
from urllib.parse import urlsplit

import pytest

from datasets.downloads.catalogue import CATALOGUE, public_set
from datasets.downloads.medmnist import MEDMNIST
from datasets.errors import ConfigError
from datasets.layouts import layout_names
from networks.checkpoints.published import CHEST_XRAY_14

FREE = {"CC BY 4.0", "CC BY-SA 4.0", "CC BY-NC 4.0", "CC0 1.0"}


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_entry_is_complete(name: str) -> None:
    one = public_set(name)
    assert one.name == name
    assert one.licence in FREE
    assert one.layout in layout_names()
    assert len(one.citation) > 40
    for file in one.files:
        assert urlsplit(file.url).scheme == "https"
        assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", file.checksum)
        assert file.name in file.url
        assert file.unpacked + (f".{file.packing}" if file.packing else "") == file.name


def test_no_two_files_have_one_checksum() -> None:
    checksums = [file.checksum for one in CATALOGUE.values() for file in one.files]
    assert len(set(checksums)) == len(checksums)


def test_there_is_what_was_promised() -> None:
    assert {"msd_liver", "pcam", "pneumoniamnist", "pneumoniamnist_224", "organmnist3d_64"} <= set(CATALOGUE)
    assert len(MEDMNIST) == 18
    with pytest.raises(ConfigError, match="data list"):
        public_set("imagenet")


def test_what_cannot_be_read_for_its_size_is_left_out() -> None:
    """2 GiB is the limit of `datasets.io.picture_set`; all smaller sizes are there."""
    channels = dict.fromkeys(("pathmnist", "dermamnist", "retinamnist", "bloodmnist"), 3)
    for name, facts in MEDMNIST.items():
        dimensions, sizes = (3, (28, 64)) if name.endswith("3d") else (2, (28, 64, 128, 224))
        fit = {px for px in sizes if facts.samples[0] * channels.get(name, 1) * px**dimensions <= 2**31}
        assert set(facts.md5) == fit, name


def test_chest_mnist_has_the_findings_of_the_films_it_is_made_from() -> None:
    assert MEDMNIST["chestmnist"].classes == CHEST_XRAY_14
    assert sum(MEDMNIST["chestmnist"].samples) == 112_120
