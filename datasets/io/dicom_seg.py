"""DICOM Segmentation out: a label map written on the frames of the series it was found in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import highdicom as hd
from highdicom.color import CIELabColor

from datasets.dicom_source import DicomSource
from datasets.image import Image
from datasets.io.seg_object import Making, SegObject, code_of, write_seg_object
from datasets.labels import Label, LabelSet
from datasets.plane_sampling import labels_on_planes


@dataclass(frozen=True)
class SegDescription:
    """What a segmentation object says about how it was made.

    Attributes:
        label_set: The labels; all are declared, also those that were not found.
        algorithm: Name of the algorithm, such as the model's.
        version: Version of the software.
        weights_sha256: Hash of the weights, hexadecimal.
        config_digest: Hash of the settings.
        series_description: What a person reads in a list of series; "RESEARCH USE ONLY" is put in front.
        series_number: Number of the new series within the study, positive.
        algorithm_type: "MANUAL" for what people drew: no algorithm is named then.
        identity: What else tells the series from others of the same making, such as whose edit it is.
    """

    label_set: LabelSet
    algorithm: str
    version: str
    weights_sha256: str
    config_digest: str
    series_description: str = "Segmentation"
    series_number: int = 9001
    algorithm_type: Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"] = "AUTOMATIC"
    identity: tuple[str, ...] = ()

    @property
    def making(self) -> Making:
        """What made the labels."""
        return Making(self.algorithm, self.version, self.weights_sha256, self.config_digest)


def write_dicom_seg(labels: Image, source: DicomSource, path: Path, description: SegDescription) -> None:
    """Write a label map as a DICOM Segmentation (BINARY) that references its source instances.

    Frames without a label are left out, as readers expect; a result without any label is written with all frames, so
    that it says "looked everywhere, found nothing" and can still be placed. The file is complete or absent.

    Args:
        labels: (1, I, J, K) uint8 with an affine, 0 for background. It may lie on the source's grid or on another
            (a rectified series): see `datasets.plane_sampling.labels_on_planes`.
        source: The instances the image came from; all frames have one size, spacing and orientation.
        path: File to write.
        description: What to say about it.

    Raises:
        ValueError: A label is not in the label set, or the source's frames do not belong together.
        OSError: The file cannot be written.
    """
    highest = int(labels.array.max())
    if highest > len(description.label_set.labels):
        raise ValueError(f"expected labels up to {len(description.label_set.labels)}; got {highest}")
    frames = labels_on_planes(labels, source.planes)
    what = SegObject(
        kind="segmentation",
        making=description.making,
        segments=tuple(_segment(label, description) for label in description.label_set.labels),
        content_label="SEGMENTATION",
        series_description=description.series_description,
        series_number=description.series_number,
        encoding={"segmentation_type": hd.seg.SegmentationTypeValues.BINARY},
        identity=description.identity,
    )
    write_seg_object(frames, source, labels.grid.spacing_mm[2], what, path)


def _segment(label: Label, description: SegDescription) -> hd.seg.SegmentDescription:
    by_hand = description.algorithm_type == "MANUAL"
    return hd.seg.SegmentDescription(
        segment_number=label.index,
        segment_label=label.name,
        segmented_property_category=code_of(label.category),
        segmented_property_type=code_of(label.concept),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues[description.algorithm_type],
        algorithm_identification=None if by_hand else description.making.identification(description.algorithm),
        display_color=CIELabColor.from_rgb(*label.colour),
    )
