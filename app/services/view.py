"""What a page needs to know to show a study: a document, and the pixels that lie beside it in files of bytes.

Volumes are shown in the order of the patient: i grows towards the left, j towards the back, k towards the head, as
closely as the scan's own axes allow. Files hold k slowest and i fastest.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.store.records import Record

VIEW = "view.json"
IMAGE = "image.raw"
LABELS = "labels.raw"

# Views that another version of this program made are made anew.
VERSION = 2

Kind = Literal["volume", "film", "colour", "slide"]
DType = Literal["int16", "uint16", "uint8"]


class Window(Record):
    """Which values are shown black and white.

    Attributes:
        name: What a person reads.
        centre: Of the window, in the unit of the values.
        width: From black to white, above 0.
    """

    name: str
    centre: float
    width: float


class ViewLabel(Record):
    """A label of the segmentation: its value, name and colour (red, green, blue)."""

    index: int
    name: str
    colour: tuple[int, int, int]


class HeatLayer(Record):
    """An explanation map that can be laid over the image.

    Attributes:
        number: By which it is asked for, from 0.
        label: What it explains.
        method: By which it was made.
        about: What of the label is meant; "" is all of it.
        verdict: What its score card says.
        why: Why it is not faithful, in words.
        maximum: Value that the byte 255 stands for; 0 stands for 0.
        maps: Whether the map lies on the grid of the view and can be laid over it.
    """

    number: int
    label: str
    method: str
    about: str = ""
    verdict: Literal["faithful", "not_faithful", "not_judged"] = "not_judged"
    why: tuple[str, ...] = ()
    maximum: float = 1.0
    maps: bool = True


class Place(Record):
    """Where a finding lies, to jump to.

    Attributes:
        finding: Its place in the result's list, from 0.
        label: What it is.
        positive: Whether it is called.
        at: Voxel (i, j, k) of the view, or (x, y) µm of a slide; None where it lies nowhere.
    """

    finding: int
    label: str
    positive: bool
    at: tuple[float, ...] | None = None


class View(Record):
    """How a study is shown.

    Attributes:
        kind: A volume has three planes, a film and a picture in colour one; a slide comes in tiles.
        shape: Columns, rows and slices of the view.
        spacing_mm: Between their centres; None where it is unknown, and lengths are told in pixels.
        directions: For each axis of the view the unit vector in the patient (LPS); None where that is unknown.
        origin_mm: Centre of the first voxel in the patient (LPS); None where that is unknown.
        dtype: Of `image.raw`; little endian. `colour` has red, green and blue, interleaved.
        slope: A value is slope times the stored number plus intercept.
        intercept: See slope.
        unit: Of the values, "HU"; "" where they have none.
        windows: What to offer; the first one is shown. The file's own come first.
        labels: Of the segmentation; empty where there is none.
        editable: Whether the segmentation can be edited here.
        heats: Explanation maps.
        places: Findings and where they lie.
        result_sha256: Digest of the result that is shown.
        mpp: Of a slide: µm per pixel of its finest level.
    """

    schema_version: int = VERSION
    kind: Kind
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None = None
    directions: tuple[tuple[float, float, float], ...] | None = None
    origin_mm: tuple[float, float, float] | None = None
    dtype: DType = "int16"
    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    windows: tuple[Window, ...] = ()
    labels: tuple[ViewLabel, ...] = ()
    editable: bool = False
    heats: tuple[HeatLayer, ...] = ()
    places: tuple[Place, ...] = ()
    result_sha256: str = ""
    mpp: tuple[float, float] | None = None


@dataclass(frozen=True)
class PreparedView:
    """A view and its pixels, as they lie in a folder of the installation's own.

    Attributes:
        folder: Where `view.json` and the files are.
        view: What they are.
    """

    folder: Path
    view: View

    def image(self) -> NDArray[np.generic]:
        """(slices, rows, columns), or (slices, rows, columns, 3) in colour; read as it is needed. None for slides."""
        columns, rows, slices = self.view.shape
        shape = (slices, rows, columns, 3) if self.view.kind == "colour" else (slices, rows, columns)
        return np.memmap(self.folder / IMAGE, np.dtype(self.view.dtype).newbyteorder("<"), "r", shape=shape)

    def labels(self) -> NDArray[np.uint8] | None:
        """(slices, rows, columns) of the network's segmentation; None where there is none."""
        return self._bytes(LABELS) if self.view.labels else None

    def heat(self, number: int) -> NDArray[np.uint8] | None:
        """(slices, rows, columns) of an explanation; None where it does not lie on the view."""
        return self._bytes(heat_name(number)) if self.view.heats[number].maps else None

    def _bytes(self, name: str) -> NDArray[np.uint8]:
        columns, rows, slices = self.view.shape
        return np.memmap(self.folder / name, np.uint8, "r", shape=(slices, rows, columns))


def heat_name(number: int) -> str:
    """Of the file of an explanation."""
    return f"heat-{number}.raw"
