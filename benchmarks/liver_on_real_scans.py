"""How the liver task does on real scans: `python -m benchmarks.liver_on_real_scans --data FOLDER`.

FOLDER holds `ct_abdomen` (a NIfTI and a DICOM series, with organ maps of another model in which the liver is 5) and
`ct_seg_pair` (three slices with a liver mask as NRRD). The figures stand in the model card.
"""

import argparse
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from datasets.geometry import Grid, ras_from_lps
from datasets.image import Image, Intensity
from datasets.io.discover import open_inputs
from datasets.io.nifti import read_nifti
from datasets.resampling import Interpolation, resample
from pipelines.metrics.dice import dice
from pipelines.run import Pipeline
from pipelines.task import load_task

LIVER_IN_ORGANS = 5


def organ_liver(path: Path) -> Image:
    """The liver of an organ map."""
    organs = read_nifti(path, Intensity.LABEL).image
    return organs.like((organs.array == LIVER_IN_ORGANS).astype(np.uint8))


def nrrd_liver(path: Path) -> Image:
    """The mask of a NRRD, whose world is LPS."""
    mask = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(mask.GetDirection(), (3, 3)) * np.asarray(mask.GetSpacing())
    affine[:3, 3] = mask.GetOrigin()
    array = sitk.GetArrayFromImage(mask).transpose(2, 1, 0)[np.newaxis]
    return Image((array > 0).astype(np.uint8), Intensity.LABEL, Grid(array.shape[1:], ras_from_lps(affine)).affine)


def main() -> None:
    """Score the three scans and print Dice and volumes of the liver."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights")
    options = parser.parse_args()
    abdomen, pair = options.data / "ct_abdomen", options.data / "ct_seg_pair"
    scans = [
        (abdomen / "ct_3mm.nii.gz", organ_liver(abdomen / "organs_3mm.nii.gz")),
        (abdomen / "dicom_j2k", organ_liver(abdomen / "organs_dicom_j2k.nii.gz")),
        (pair / "ct", nrrd_liver(pair / "liver_seg.nrrd")),
    ]
    task = load_task("liver_ct")
    if options.weights:
        task = task.model_copy(update={"weights": options.weights})
    pipeline = Pipeline.load(task, "cpu")
    for path, reference in scans:
        with open_inputs([path]) as inventory:
            result = pipeline.run(inventory.studies[0])
        truth = resample(reference, result.labels.grid, Interpolation.NEAREST, 0).array > 0
        found = result.labels.array > 0
        ml = result.labels.grid.voxel_volume_ml
        tumors = np.count_nonzero(result.labels.array == 2) * ml
        print(
            f"{path.name}: liver Dice {dice(found, truth):.3f}, {found.sum() * ml:.0f} ml found, "
            f"{truth.sum() * ml:.0f} ml in the reference, {tumors:.1f} ml called tumour"
        )


if __name__ == "__main__":
    main()
