"""The liver task beside a pipeline of MONAI's own parts, with the same weights: `python -m benchmarks.liver_pipeline`.

Both resample a scan to the network's spacing, run the same network slice by slice and bring labels back to the scan's
grid; ours streams slabs, the peer keeps whole-volume logits, as MONAI's tutorials do. Prints seconds and a ratio.
"""

import argparse
import platform
import time

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import SliceInferer
from monai.transforms import Compose, Orientation, ScaleIntensityRange, Spacing

from datasets.phantoms import ct_phantom, default_grid
from datasets.resampling import reorient
from pipelines.run import Pipeline
from pipelines.task import load_task


def peer(pipeline: Pipeline, array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """MONAI's transforms, inferer and inversion; a single slice at a time, because SliceInferer has no neighbours."""
    task = pipeline.task
    low, high = task.window_hu
    scan = MetaTensor(torch.from_numpy(np.array(array, dtype=np.float32)), affine=torch.from_numpy(affine))
    prepare = Compose(
        [
            Orientation("LPS", labels=None),
            Spacing(task.spacing_mm, mode="bilinear"),
            ScaleIntensityRange(low, high, low - task.mean_hu, high - task.mean_hu, clip=True),
        ]
    )
    prepared = prepare(scan)
    # The neighbours become channels beforehand: (3, I, J, K).
    volume = torch.cat([prepared.roll(1, -1), prepared, prepared.roll(-1, -1)]).as_tensor()[None]
    inferer = SliceInferer(volume.shape[2:4], sw_batch_size=4, spatial_dim=2)

    def network(x: torch.Tensor) -> torch.Tensor:
        # The network reads rows and columns, MONAI keeps (i, j).
        return pipeline.network(x.transpose(-1, -2)).transpose(-1, -2)

    with torch.inference_mode():
        logits = inferer(volume.to(pipeline.compute.device), network).cpu()[0]
    like = MetaTensor(logits, affine=prepared.affine)
    target = torch.from_numpy(np.array(affine))
    canonical = Orientation("LPS", labels=None)(MetaTensor(torch.from_numpy(np.array(array)), affine=target))
    back = Spacing(canonical.pixdim, mode="bilinear")(like, output_spatial_shape=canonical.shape[1:])
    return back.argmax(dim=0).numpy().astype(np.uint8)


def main() -> None:
    """Time both on one phantom."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--slices-mm", type=float, default=2.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    image = ct_phantom(30_002).image(default_grid((0.8, 0.8, options.slices_mm)))
    pipeline = Pipeline.load(load_task("liver_ct"), options.device, "fp32")
    ours_s, theirs_s = [], []
    for _ in range(3):
        start = time.perf_counter()
        with torch.inference_mode():
            prediction = pipeline.task.infer(pipeline.network, pipeline.task.preprocess(image), image, pipeline.compute)
        ours_s.append(time.perf_counter() - start)
        start = time.perf_counter()
        labels = peer(pipeline, image.array, image.affine)
        theirs_s.append(time.perf_counter() - start)
    ours = reorient(prediction.labels, "LPS").array[0]
    ours_median_s, theirs_median_s = float(np.median(ours_s)), float(np.median(theirs_s))
    print(f"{platform.machine()}, {options.threads} threads, device {options.device}, scan {image.shape}")
    print(f"ours {ours_median_s:.2f} s   MONAI parts {theirs_median_s:.2f} s   {theirs_median_s / ours_median_s:.2f} x")
    print(f"equal labels {np.mean(ours == labels):.4%}")


if __name__ == "__main__":
    main()
