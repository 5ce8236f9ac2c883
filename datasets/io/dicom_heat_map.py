"""Heat maps out as DICOM Segmentation (FRACTIONAL), so that a viewer can lay an explanation over its source.

The fractional type is PROBABILITY: a degree of belief at each pixel that it belongs to what the segment names.
OCCUPANCY would say which share of a pixel is covered: a statement about size, which a viewer may add up to a volume
and no heat map makes. That values are relative and no calibrated probability stands in the segment's description.
"""

from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor

from datasets.codes import RefusalCode
from datasets.dicom_source import DicomSource
from datasets.errors import InputRefused
from datasets.image import Image
from datasets.io.seg_object import LONG_STRING, Making, SegObject, code_of, write_seg_object
from datasets.labels import CodedConcept, Label
from datasets.plane_sampling import Values, values_on_planes

HIGHEST = 255  # MaximumFractionalValue: the stored value of 1
_SHORT_TEXT = 1024  # characters a value of VR ST may have (DICOM PS3.5, table 6.2-1)

# Where a label has no coded concept, it is a region that somebody is to look at, and no more.
_CATEGORY = CodedConcept("309825002", "SCT", "Spatial and Relational Concept")
_REGION = CodedConcept("C85402", "NCIt", "Imaging Region of Interest")
_COLOUR = (255, 0, 0)


@dataclass(frozen=True)
class HeatMapDescription:
    """What a heat map's object says about what it shows and how it was made.

    Attributes:
        label: What is explained; its name alone where it has no coded concept.
        method: Name of the method of explanation, such as "grad_cam".
        algorithm: Name of the model that is explained.
        version: Version of the software.
        weights_sha256: Hash of the weights, hexadecimal.
        config_digest: Hash of the settings, those of the method among them.
        caveat: What whoever looks at it has to be told, in a sentence; "" for nothing.
        series_number: Number of the new series within the study, positive.
    """

    label: Label | str
    method: str
    algorithm: str
    version: str
    weights_sha256: str
    config_digest: str
    caveat: str = ""
    series_number: int = 9101

    @property
    def name(self) -> str:
        """The label's name."""
        return self.label if isinstance(self.label, str) else self.label.name

    @property
    def title(self) -> str:
        """Label and method, which together tell the maps of a study apart."""
        return f"{self.name} {self.method}"

    @property
    def making(self) -> Making:
        """What made the map."""
        return Making(self.algorithm, self.version, self.weights_sha256, self.config_digest)


def write_dicom_heat_map(heat: Image, source: DicomSource, path: Path, description: HeatMapDescription) -> None:
    """Write a heat map as a DICOM Segmentation (FRACTIONAL, RLE Lossless) that references its source instances.

    Values are stored to 1/255. Frames without any value that is stored above 0 are left out; a map without any is
    written with all frames, so that it can still be placed. The file is complete or absent.

    A film has no place in the patient, whether or not it tells its spacing; the standard then wants each pixel of the
    map on one of the film (PS3.3, A.51.5.1), and takes no map of another size.

    Args:
        heat: (1, I, J, K), finite values from 0 to 1, with an affine. It may lie on the source's grid or on another
            (a rectified series): see `datasets.plane_sampling.values_on_planes`. Of a film (1, columns, rows, 1) on its
            own pixels; an affine is not needed.
        source: The instances the image came from; all frames have one size, spacing and orientation.
        path: File to write.
        description: What to say about it.

    Raises:
        InputRefused: The source is a film on whose pixels the map does not lie (`different_grids`), or one of several
            frames, which it does not tell apart (`unsupported_dimensions`).
        ValueError: Values are no finite numbers from 0 to 1 in one channel, or the source's frames do not belong
            together.
        OSError: The file cannot be written.
    """
    low, high = float(heat.array.min()), float(heat.array.max())
    if heat.channels != 1 or not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"expected one channel of values from 0 to 1; got {heat.array.shape} from {low} to {high}")
    if source.planes:
        values, slice_mm = values_on_planes(heat, source.planes), heat.grid.spacing_mm[2]
    else:
        values, slice_mm = _on_film(heat, source), 0.0
    # Rounded here, so that frames and identity depend on what is stored alone.
    stored = np.rint(values * np.float32(HIGHEST)) / np.float32(HIGHEST)
    what = SegObject(
        kind="heat map",
        making=Making(
            description.algorithm, description.version, description.weights_sha256, description.config_digest
        ),
        segments=(_segment(description),),
        content_label="HEAT_MAP",
        series_description=f"{description.method} {description.name}",
        series_number=description.series_number,
        encoding={
            "segmentation_type": hd.seg.SegmentationTypeValues.FRACTIONAL,
            "fractional_type": hd.seg.SegmentationFractionalTypeValues.PROBABILITY,
            "max_fractional_value": HIGHEST,
        },
        identity=(description.method, description.name),
        rle=True,
    )
    write_seg_object(stored, source, slice_mm, what, path)


def _on_film(heat: Image, source: DicomSource) -> Values:
    """The map as the one frame of a film: (1, rows, columns)."""
    if len(source.datasets) != 1:
        raise ValueError(f"expected planes, or one film; got {len(source.datasets)} instances without planes")
    (film,) = source.datasets
    frames = int(film.get("NumberOfFrames") or 1)
    if frames != 1:
        raise InputRefused(
            RefusalCode.UNSUPPORTED_DIMENSIONS,
            "a film of one frame, for a map without a place must name the frame it lies on",
            f"{frames} frames",
            "write the map as a picture",
        )
    if heat.shape != (int(film.Columns), int(film.Rows), 1):
        raise InputRefused(
            RefusalCode.DIFFERENT_GRIDS,
            f"a map on the film's own {film.Columns} x {film.Rows} pixels, for a film has no place in the patient",
            " x ".join(str(size) for size in heat.shape),
            "resample the map to the film, or write it as a picture",
        )
    return np.ascontiguousarray(heat.slices(), dtype=np.float32)


def _segment(description: HeatMapDescription) -> hd.seg.SegmentDescription:
    label = description.label
    coded = None if isinstance(label, str) else label
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=description.title[:LONG_STRING],
        segmented_property_category=code_of(coded.category if coded else _CATEGORY),
        segmented_property_type=code_of(coded.concept if coded else _REGION),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=description.making.identification(
            f"{description.method} of {description.algorithm}", method=description.method, label=description.name
        ),
        display_color=CIELabColor.from_rgb(*(coded.colour if coded else _COLOUR)),
    )
    text = (
        f"Where {description.method} sees what made {description.algorithm} say {description.name}: "
        f"0 nothing, 1 the most in this map; no calibrated probability. {description.caveat}"
    )
    segment.SegmentDescription = text.strip()[:_SHORT_TEXT]
    return segment
