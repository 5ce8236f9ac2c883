"""The public datasets that can be fetched, with their licence, how to cite them, and how to know them whole.

Where the addresses and checksums are from: MSD Task03_Liver from MONAI's `DecathlonDataset` (monai/apps/datasets.py),
its licence from medicaldecathlon.com; MedMNIST from `datasets.downloads.medmnist`; PatchCamelyon's files from Zenodo
record 2546921, their checksums from torchvision (datasets/pcam.py, corrected in pytorch/vision pull request 6644). The
table in basveeling/pcam gives the checksums of validation and test the other way round, which those who computed them
report there (issues 1 and 4); those of its two tables of slides are exchanged here in the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from datasets.downloads import medmnist
from datasets.errors import ConfigError

Packing = Literal["", "tar", "gz"]

_PCAM = "https://zenodo.org/records/2546921/files"
_PCAM_MD5 = {
    "train_x.h5.gz": "1571f514728f59376b705fc836ff4b63",
    "train_y.h5.gz": "35c2d7259d906cfc8143347bb8e05be7",
    "train_meta.csv": "5a3dd671e465cfd74b5b822125e65b0a",
    "valid_x.h5.gz": "d5b63470df7cfa627aeec8b9dc0c066e",
    "valid_y.h5.gz": "2b85f58b927af9964a4c15b8f7e8f179",
    "valid_meta.csv": "67589e00a4a37ec317f2d1932c7502ca",
    "test_x.h5.gz": "d8c2d60d490dbd479f8199bdfa0cf6ec",
    "test_y.h5.gz": "60a7035772fbdb7f34eb86d4420cf66a",
    "test_meta.csv": "3455fd69135b66734e1008f3af684566",
}
_MEDMNIST_CITATION = (
    "Yang, J., Shi, R., Wei, D. et al. MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D biomedical "
    "image classification. Scientific Data 10, 41 (2023), and the source of the set as medmnist.com names it"
)


@dataclass(frozen=True)
class PublicFile:
    """One file on somebody's server.

    Attributes:
        name: What it is called here.
        url: Where it is, https.
        checksum: Of the file as it is sent, "md5:…" or "sha256:…".
        packing: "tar" or "gz" where it is to be unpacked.
    """

    name: str
    url: str
    checksum: str
    packing: Packing = ""

    @property
    def unpacked(self) -> str:
        """What is there when it is unpacked: a file, or of an archive the folder in it."""
        return self.name.removesuffix(f".{self.packing}") if self.packing else self.name


@dataclass(frozen=True)
class PublicSet:
    """A dataset that can be fetched.

    Attributes:
        name: By which it is asked for.
        title: In words.
        files: All of it.
        about_bytes: What is sent, as far as it has been told; None where it has not.
        licence: Under which it may be used.
        citation: What its authors ask for.
        layout: Module in `datasets.layouts` that reads it.
        data: What to give to `--data`, below the folder it was fetched to; "" for that folder.
    """

    name: str
    title: str
    files: tuple[PublicFile, ...]
    about_bytes: int | None
    licence: str
    citation: str
    layout: str
    data: str = ""


def public_set(name: str) -> PublicSet:
    """A set by its name.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in CATALOGUE:
        raise ConfigError("the name of a set that `denselens data list` shows", repr(name), "choose one of them")
    return CATALOGUE[name]


def _medmnist_set(name: str, side_px: int) -> PublicSet:
    facts = medmnist.MEDMNIST[name]
    file = medmnist.file_name(name, side_px)
    size = f"{side_px} x {side_px} x {side_px} voxels" if name.endswith("3d") else f"{side_px} x {side_px} pixels"
    return PublicSet(
        name=file.removesuffix(".npz"),
        title=f"MedMNIST: {name}, {sum(facts.samples)} of {size}, {len(facts.classes)} labels",
        files=(PublicFile(file, medmnist.url(name, side_px), f"md5:{facts.md5[side_px]}"),),
        about_bytes=None,
        licence=facts.licence,
        citation=_MEDMNIST_CITATION,
        layout="medmnist",
        data=file,
    )


def _pcam_file(ending: str) -> PublicFile:
    name = f"camelyonpatch_level_2_split_{ending}"
    packing: Packing = "gz" if ending.endswith(".gz") else ""
    return PublicFile(name, f"{_PCAM}/{name}?download=1", f"md5:{_PCAM_MD5[ending]}", packing)


_SETS = (
    PublicSet(
        name="msd_liver",
        title="Medical Segmentation Decathlon, Task03_Liver: 201 CT scans, 131 of them with liver and tumour",
        files=(
            PublicFile(
                "Task03_Liver.tar",
                "https://msd-for-monai.s3-us-west-2.amazonaws.com/Task03_Liver.tar",
                "md5:a90ec6c4aa7f6a3d087205e23d4e6397",
                "tar",
            ),
        ),
        about_bytes=28_925_891_584,
        licence="CC BY-SA 4.0",
        citation=(
            "Antonelli, M., Reinke, A., Bakas, S. et al. The Medical Segmentation Decathlon. Nature Communications 13, "
            "4128 (2022); Bilic, P. et al. The Liver Tumor Segmentation Benchmark. Medical Image Analysis 84 (2023)"
        ),
        layout="decathlon",
        data="Task03_Liver",
    ),
    PublicSet(
        name="pcam",
        title="PatchCamelyon: 327,680 patches of lymph nodes, 96 x 96 pixels, with and without tumour",
        files=tuple(_pcam_file(ending) for ending in _PCAM_MD5),
        # As its authors tell it: 6.1 GB for training and 0.8 GB each for validation and test.
        about_bytes=7_700_000_000,
        licence="CC0 1.0",
        citation=(
            "Veeling, B. S., Linmans, J., Winkens, J., Cohen, T., Welling, M. Rotation Equivariant CNNs for Digital "
            "Pathology. arXiv:1806.03962 (2018); Ehteshami Bejnordi, B. et al. JAMA 318, 2199-2210 (2017)"
        ),
        layout="pcam",
    ),
    *(_medmnist_set(name, side_px) for name, facts in medmnist.MEDMNIST.items() for side_px in facts.md5),
)

CATALOGUE: Mapping[str, PublicSet] = {one.name: one for one in _SETS}
