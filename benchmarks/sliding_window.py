"""Memory and time of a sliding window with labels, beside MONAI's: `python -m benchmarks.sliding_window`.

A volume of 512 x 512 x 600 float32 voxels, windows of 96^3 with overlap 0.5 and Gaussian weights, three classes, and a
network that costs next to nothing, so that what is measured is the machinery around it. Each contestant runs in a
process of its own and ends with a uint8 label map of the whole volume. Memory is the highest resident set above the
one with the volume loaded and everything imported. Needs Linux (`ru_maxrss` in KiB) and 8 GB of memory.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor

from pipelines.slabs import decide_labels, label_map
from pipelines.sliding_window import LogitStream
from pipelines.windows import WindowSettings

CLASSES = 3
WINDOW = (96, 96, 96)
_SCALE = torch.tensor([1.0, -1.0, 0.5]).reshape(1, CLASSES, 1, 1, 1)
_OFFSET = torch.tensor([0.0, 0.0, 0.3]).reshape(1, CLASSES, 1, 1, 1)


def network(windows: Tensor) -> Tensor:
    """Three multiples of the input: (N, 1, d, h, w) to (N, 3, d, h, w)."""
    return torch.addcmul(_OFFSET, windows, _SCALE)


def volume_of(depth: int) -> Tensor:
    """Noise (1, depth, 512, 512) of a fixed seed."""
    return torch.randn((1, depth, 512, 512), generator=torch.Generator().manual_seed(0))


def ours(volume: Tensor) -> Tensor:
    """The stream, labels decided slab by slab."""
    stream = LogitStream(volume, network, WindowSettings(WINDOW, overlap=0.5, batch=1), classes=CLASSES)
    return label_map(decide_labels(stream), (volume.shape[1], volume.shape[2], volume.shape[3]))


def monai(volume: Tensor) -> Tensor:
    """MONAI's stitching at its best batch on a CPU, and argmax."""
    with torch.inference_mode():
        logits = sliding_window_inference(volume[None], WINDOW, 1, network, overlap=0.5, mode="gaussian")
        return logits.argmax(dim=1)[0].to(torch.uint8)


CONTESTANTS: dict[str, Callable[[Tensor], Tensor]] = {"denselens": ours, "monai": monai}


def contest(name: str, depth: int, threads: int, folder: Path) -> dict[str, float]:
    """Run one contestant in this process: seconds, MiB above the loaded volume; labels go to the folder."""
    torch.set_num_threads(threads)
    volume = volume_of(depth)
    # Both have run once before anything is measured, so that no library is still loading its parts.
    CONTESTANTS[name](volume[:, :2, :8, :8])
    base = psutil.Process().memory_info().rss
    started = time.perf_counter()
    labels = CONTESTANTS[name](volume)
    seconds = time.perf_counter() - started
    # Kibibytes on Linux; nothing before this point needed more than what is held now.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    np.save(folder / f"{name}.npy", labels.numpy())
    return {"seconds": seconds, "peak_mib": (peak - base) / 2**20}


def _apart(name: str, depth: int, threads: int, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.sliding_window", "--depth", str(depth), "--threads", str(threads)]
    # Waiting threads that spin would take the time of whoever shares the machine.
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    command += ["--only", name, "--folder", str(folder)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    """Run both, each in its own process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--depth", type=int, default=600, help="slices")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=sorted(CONTESTANTS), help="run this one here and print JSON")
    parser.add_argument("--folder", type=Path, help="where --only leaves its labels")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(contest(arguments.only, arguments.depth, arguments.threads, arguments.folder)))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = {each: _apart(each, arguments.depth, arguments.threads, folder) for each in CONTESTANTS}
        labels = {each: np.load(folder / f"{each}.npy", mmap_mode="r") for each in CONTESTANTS}
        equal = {each: float((labels[each] == labels["denselens"]).mean()) for each in CONTESTANTS}
    print(f"512 x 512 x {arguments.depth} float32, {CLASSES} classes, windows of 96^3, overlap 0.5, trivial network")
    print(f"{arguments.threads} thread(s) of {os.cpu_count()} cores, {_processor()}; load before: {load:.1f}")
    print(f"torch {torch.__version__}, monai {version('monai')}")
    print(f"{'':12}{'seconds':>10}{'ratio':>8}{'peak MiB above volume':>24}{'equal labels':>16}")
    for each, result in results.items():
        ratio = result["seconds"] / results["denselens"]["seconds"]
        print(f"{each:12}{result['seconds']:10.1f}{ratio:8.1f}{result['peak_mib']:24.0f}{equal[each]:16.6%}")


if __name__ == "__main__":
    main()
