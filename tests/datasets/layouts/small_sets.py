"""Small datasets of the layouts that classify, written for a test."""

from pathlib import Path

import h5py
import numpy as np
from PIL import Image as Pillow


def picture(path: Path, shade: int = 100, size: tuple[int, int] = (6, 4)) -> Path:
    """A flat picture of columns x rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.new("L", size, shade).save(path)
    return path


def numbers(path: Path, values: np.ndarray) -> Path:
    """A PNG of 16 bits from (rows, columns)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(values.astype(np.uint16)).save(path)
    return path


def chest_xray_14(root: Path) -> Path:
    """Five films of three patients, as the NIH publishes them."""
    films = {"00000001_000": 1, "00000001_001": 1, "00000002_000": 2, "00000003_000": 1, "00000003_001": 2}
    for name, archive in films.items():
        picture(root / f"images_{archive:03d}" / "images" / f"{name}.png")
    (root / "Data_Entry_2017_v2020.csv").write_text(
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
        "00000001_000.png,Cardiomegaly|Emphysema,0,1,58,M,PA,2682,2749,0.143,0.143\n"
        "00000001_001.png,No Finding,1,1,59,M,PA,2894,2729,0.143,0.143\n"
        "00000002_000.png,Pleural_Thickening,0,2,411,F,AP,2500,2048,0.168,0.168\n"
        "00000003_000.png,No Finding,0,3,9,F,PA,2582,2991,0.143,0.143\n"
        "00000003_001.png,Hernia,1,3,10,F,PA,2582,2991,0.143,0.143\n"
    )
    (root / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000003_001.png,Hernia,1,1,2,2,,,\n"
    )
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n00000002_000.png\n")
    (root / "test_list.txt").write_text("00000003_000.png\n00000003_001.png\n")
    return root


def class_folders(root: Path) -> Path:
    """Chest films as Kermany has them."""
    for split in ("train", "val", "test"):
        for index in range(2):
            picture(root / split / "NORMAL" / f"IM-0{index}-0001.jpeg")
            picture(root / split / "PNEUMONIA" / f"person{len(split)}_bacteria_{index}.jpeg")
    return root


def pcam(root: Path, parts: dict[str, int] | None = None, wsi: bool = True) -> Path:
    """Patches of 4 x 5 pixels; of patch i every byte is i, and it has a tumour where i is odd."""
    root.mkdir(parents=True, exist_ok=True)
    for word, number in (parts or {"train": 6, "valid": 4, "test": 3}).items():
        stem = root / f"camelyonpatch_level_2_split_{word}"
        with h5py.File(f"{stem}_x.h5", "w") as file:
            file["x"] = np.arange(number, dtype=np.uint8).reshape(-1, 1, 1, 1) + np.zeros((1, 4, 5, 3), np.uint8)
        with h5py.File(f"{stem}_y.h5", "w") as file:
            file["y"] = (np.arange(number) % 2).astype(np.uint8).reshape(-1, 1, 1, 1)
        if wsi:
            rows = (f"{i},10,20,True,False,camelyon16_{word}_tumor_{i // 2:03d}" for i in range(number))
            header = ",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi"
            Path(f"{stem}_meta.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


def medmnist(path: Path, labels: np.ndarray, test_labels: np.ndarray, shape: tuple[int, ...] = (3, 5)) -> Path:
    """Pictures, or volumes, of which the i-th is of the value i."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def images(number: int) -> np.ndarray:
        flat = np.arange(number, dtype=np.uint8).reshape(-1, *[1] * len(shape))
        return flat + np.zeros((1, *shape), np.uint8)

    np.savez_compressed(
        path,
        train_images=images(len(labels)),
        train_labels=labels,
        test_images=images(len(test_labels)),
        test_labels=test_labels,
    )
    return path


def instances(root: Path, names: tuple[str, ...] = ("a", "b")) -> Path:
    """Pictures with two objects each."""
    values = np.zeros((4, 6), int)
    values[0, :2], values[2:, 4] = 1, 300
    for name in names:
        picture(root / "images" / f"{name}.png")
        numbers(root / "labels" / f"{name}.png", values)
    return root


def data_science_bowl(root: Path) -> Path:
    """Two samples; the first has an object at the left, one below it that covers a pixel of it, one in colour."""
    for sample in ("0a", "0b"):
        picture(root / sample / "images" / f"{sample}.png")
        for index, (rows, columns) in enumerate([(slice(0, 2), 0), (slice(1, 4), 0), (0, slice(4, 6))]):
            mask = np.zeros((4, 6), np.uint8)
            mask[rows, columns] = 255
            path = root / sample / "masks" / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            Pillow.fromarray(mask).convert("RGB" if index == 2 else "L").save(path)
    return root
