"""How long a training waits for its data, beside MONAI's loaders: `denselens bench training_data`.

The shipped configs of the tasks that train within minutes, each on phantoms, by `pipelines.train`: what is shown is
the share of the time in which the network waited for patches, as the log of the training tells it, in all looks after
the first. The peer is a plain loop over the same files with the same network, loss, patch and batch, whose pixels come
from MONAI: `Dataset`, which reads and resamples a case whenever it is drawn, and `CacheDataset`, which keeps them in
memory. There is a peer for the volumes and the micrographs; both contestants use one process for the data.

The waiting of either ends when the patch is there; the seconds are those of all steps that count.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from app.commands.bench import describe_machine
from datasets.io.nifti import write_nifti
from datasets.phantoms import ct_phantom, default_grid, film_phantom
from datasets.phantoms.nuclei import nuclei_phantom

TAKES = ("--json", "--quick")

Row = dict[str, Any]
_MODULE = "benchmarks.training_data"
_SPACING_MM = (1.5, 1.5, 4.0)
_PEER_STEPS = 9
_FINDINGS = ("normal", "pneumonia")


def livers(folder: Path, cases: int) -> None:
    """Torsos with livers, as images and masks."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for seed in range(cases):
        phantom, grid = ct_phantom(seed), default_grid(_SPACING_MM)
        write_nifti(phantom.image(grid), folder / "imagesTr" / f"liver_{seed}.nii.gz")
        write_nifti(phantom.labels(grid), folder / "labelsTr" / f"liver_{seed}.nii.gz")
    (folder / "labels.json").write_text(json.dumps({"1": "liver", "2": "liver_tumor"}), encoding="utf-8")


def micrographs(folder: Path, cases: int) -> None:
    """Cells in colour, with numbered nuclei."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for seed in range(5 * cases):
        phantom = nuclei_phantom(seed, count=40, shape_px=(320, 256), stain="haematoxylin")
        pixels = phantom.image().array[:, :, :, 0].transpose(2, 1, 0)
        Pillow.fromarray(np.ascontiguousarray(pixels)).save(folder / "images" / f"{seed}.png")
        Pillow.fromarray(phantom.instances().astype(np.uint16)).save(folder / "labels" / f"{seed}.png")


def films(folder: Path, cases: int) -> None:
    """Films in a folder for each of two classes."""
    for seed in range(10 * cases):
        sick = seed % 2 == 1
        place = folder / _FINDINGS[sick]
        place.mkdir(parents=True, exist_ok=True)
        phantom = film_phantom(seed, findings=["pneumonia"] if sick else [])
        Pillow.fromarray(phantom.image(512).array[0, :, :, 0].T.copy()).save(place / f"{seed}.png")


def patches(folder: Path, cases: int) -> None:
    """Patches in a folder for each of two classes; what is on them costs the loader nothing."""
    rng = np.random.default_rng(0)
    for number in range(80 * cases):
        place = folder / ("tumor" if number % 2 else "normal")
        place.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(place / f"{number}.png")


# Per config: what it is trained on, its steps (those until the first look do not count), and whether there is a peer.
WORK: dict[str, tuple[Callable[[Path, int], None], int, bool]] = {
    "liver_ct": (livers, 48, True),
    "nuclei": (micrographs, 48, True),
    "chest_pneumonia": (films, 48, False),
    "histopathology": (patches, 48, False),
}


def ours(config: str, data: Path, out: Path, steps: int, threads: int) -> Row:
    """Train as anybody does, and read what the log says of the waiting."""
    settings = {"steps": steps, "validation.every": steps // 3, "validation.examples": 8}
    command = [sys.executable, "-m", "app.cli", "train", config, "--data", str(data), "--out", str(out)]
    for key, value in settings.items():
        command += ["--set", f"training.{key}={value}"]
    _run(command, threads)
    with (out / "log.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    counted = [(steps // 3 / float(row["examples_per_s"]), row) for row in rows[1:]]
    seconds = sum(share for share, _ in counted)
    waiting = sum(share * float(row["waiting_share"]) for share, row in counted) / seconds
    return {"config": config, "contestant": "denselens", "waiting_share": waiting, "examples_per_s": _mean_rate(rows)}


def _mean_rate(rows: list[dict[str, str]]) -> float:
    rates = [float(row["examples_per_s"]) for row in rows[1:]]
    return len(rates) / sum(1.0 / rate for rate in rates)


def peer(config: str, data: Path, steps: int, threads: int, cached: bool) -> Row:
    """MONAI's loader in a process of its own."""
    command = [sys.executable, "-m", "benchmarks._training_peer", config, str(data), str(steps)]
    told = _run(command + (["--cached"] if cached else []), threads)
    row: Row = json.loads(told.splitlines()[-1])
    name = "MONAI CacheDataset" if cached else "MONAI Dataset"
    return {"config": config, "contestant": name, **row}


def _run(command: list[str], threads: int) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def rows_of(options: argparse.Namespace) -> list[Row]:
    """All contestants of all configs, one after the other."""
    found: list[Row] = []
    cases = 3 if options.quick else 8
    with tempfile.TemporaryDirectory() as temporary:
        for config in options.only or WORK:
            make, full, has_peer = WORK[config]
            data, steps = Path(temporary) / config, 6 if options.quick else full
            make(data, cases)
            found.append(ours(config, data, Path(temporary) / f"out-{config}", steps, options.threads))
            if has_peer:
                # Few steps: without a cache every case is read and resampled whenever it is drawn.
                found += [
                    peer(config, data, min(steps, _PEER_STEPS), options.threads, cached) for cached in (False, True)
                ]
    return found


def main() -> None:
    """Run all, and print the table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few cases and steps, to see that it works")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", action="append", choices=WORK, help="of the configs; repeatable")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = rows_of(options)
    if options.json:
        print(json.dumps({"rows": rows, "threads": options.threads}))
        return
    print(describe_machine())
    print(f"{options.threads} threads")
    print(f"{'config':18}{'contestant':22}{'waiting':>9}{'examples/s':>12}")
    for row in rows:
        print(f"{row['config']:18}{row['contestant']:22}{row['waiting_share']:9.1%}{row['examples_per_s']:12.2f}")


if __name__ == "__main__":
    main()
