"""Studies with a truth known by formula: a CT torso with liver and tumours, and plain ellipsoids.

Every phantom is a description in millimetres, sampled when asked for on whatever grid is given. The liver is on the
patient's right. Vessels inside the liver count as liver, as they do in the usual reference segmentations; those beside
it (aorta, vena cava, portal trunk) do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from datasets.errors import ConfigError
from datasets.geometry import Affine, Grid, grid_from_axes
from datasets.image import Array, Image, Intensity
from datasets.phantoms.anatomy import Tissue, draw_background, draw_organs
from datasets.phantoms.liver import Lobes
from datasets.phantoms.patient import Rng, draw_frame, draw_liver, vector
from datasets.phantoms.shapes import Ellipsoid, Vector
from datasets.phantoms.solids import Solid
from datasets.phantoms.tumors import Tumor, draw_tumors, draw_vessels

# Field of view of `default_grid`: 512 columns of 0.8 mm, and from the bases of the lungs to the brim of the pelvis.
FIELD_MM: Vector = (409.6, 409.6, 210.0)
_CENTRE_MM: Vector = (0.0, -10.0, 0.0)
_AIR_HU, _LOWEST_HU, _HIGHEST_HU = -1000.0, -1024, 3071


@dataclass(frozen=True)
class TumorTruth:
    """What is known about a tumour.

    Attributes:
        volume_ml: 4/3 pi abc.
        centre_mm: RAS.
        radii_mm: Half axes, the longest first.
        mean_hu: Over its volume.
    """

    volume_ml: float
    centre_mm: Vector
    radii_mm: Vector
    mean_hu: float


@dataclass(frozen=True)
class CtTruth:
    """What is known about a torso.

    Attributes:
        liver_ml: Volume of the liver with its tumours and vessels.
        tumors: Empty for a healthy liver.
    """

    liver_ml: float
    tumors: tuple[TumorTruth, ...]

    @property
    def tumor_ml(self) -> float:
        """Volume of all tumours, which do not touch each other."""
        return sum(tumor.volume_ml for tumor in self.tumors)


@dataclass(frozen=True, eq=False)
class CtPhantom:
    """A CT torso; see `ct_phantom`.

    Attributes:
        seed: What it was drawn from.
        pose: 4x4, patient mm to scanner mm, both RAS: how the patient lies on the table.
        surroundings: Everything but liver, intrahepatic vessels and tumours, in the order of painting.
        liver: In patient mm.
        liver_hu: Value of the parenchyma.
        vessels: Inside the liver.
        tumors: Inside the liver, apart from each other.
        noise_hu: Standard deviation of the noise, whatever the grid.
        noise_length_mm: Over which half of the noise is correlated within slices.
        psf_mm: Standard deviation of the blur within slices.
    """

    seed: int
    pose: Affine
    surroundings: tuple[Tissue, ...]
    liver: Lobes
    liver_hu: float
    vessels: tuple[Tissue, ...]
    tumors: tuple[Tumor, ...]
    noise_hu: float
    noise_length_mm: float
    psf_mm: float

    @property
    def truth(self) -> CtTruth:
        """Volumes, places and values by formula, in scanner coordinates."""
        return CtTruth(
            self.liver.volume_ml,
            tuple(
                TumorTruth(
                    tumor.shape.volume_ml,
                    vector(self.pose[:3, :3] @ tumor.shape.centre_mm + self.pose[:3, 3]),
                    vector(np.sort(tumor.shape.radii_mm)[::-1]),
                    tumor.mean_hu,
                )
                for tumor in self.tumors
            ),
        )

    def image(self, grid: Grid, *, noise: bool = True, seed: int | None = None) -> Image:
        """Sample the Hounsfield units.

        Args:
            grid: Any; may be oblique or sheared. Partial volume follows the voxels, the blur the slices.
            noise: Whether to add noise.
            seed: Of the noise; the phantom's when None.

        Returns:
            int16 (1, I, J, K) of Hounsfield units, laid out as frames (K, J, I).
        """
        patient = self._patient_grid(grid)
        hu = np.full(grid.shape[::-1], _AIR_HU, dtype=np.float32)
        for tissue in self.surroundings:
            tissue.solid.paint(hu, patient, tissue.hu)
        Solid((self.liver,)).paint(hu, patient, self.liver_hu)
        for tissue in self.vessels:
            tissue.solid.paint(hu, patient, tissue.hu)
        for tumor in self.tumors:
            for part, value in tumor.layers:
                Solid((part,)).paint(hu, patient, value)
        _blur_slices(hu, grid, self.psf_mm)
        if noise:
            rng = np.random.default_rng((self.seed if seed is None else seed, 1))
            hu += _noise(rng, grid, self.noise_hu, self.noise_length_mm)
        frames = np.clip(np.rint(hu), _LOWEST_HU, _HIGHEST_HU).astype(np.int16)
        return Image.from_slices(frames, Intensity.HOUNSFIELD, grid.affine)

    def labels(self, grid: Grid) -> Image:
        """Label map by voxel centres: uint8 (1, I, J, K), 0 background, 1 liver, 2 liver_tumor."""
        patient = self._patient_grid(grid)
        frames = np.zeros(grid.shape[::-1], dtype=np.uint8)
        Solid((self.liver,)).mark(frames, patient, 1)
        for tumor in self.tumors:
            Solid((tumor.shape,)).mark(frames, patient, 2)
        return Image.from_slices(frames, Intensity.LABEL, grid.affine)

    def structure(self, grid: Grid, name: str) -> Image:
        """Mask by voxel centres of the tissues of one name, as drawn (what is painted later may cover some of it).

        Args:
            grid: Any.
            name: Such as "spleen", "aorta", or "liver_vessel" for the vessels inside the liver.

        Returns:
            uint8 (1, I, J, K) of 0 and 1.

        Raises:
            ConfigError: No tissue has this name.
        """
        tissues = [tissue for tissue in (*self.surroundings, *self.vessels) if tissue.name == name]
        if not tissues:
            names = sorted({tissue.name for tissue in (*self.surroundings, *self.vessels)})
            raise ConfigError(f"one of the tissues {names}", repr(name), "ask for one of these")
        frames = np.zeros(grid.shape[::-1], dtype=np.uint8)
        for tissue in tissues:
            tissue.solid.mark(frames, self._patient_grid(grid), 1)
        return Image.from_slices(frames, Intensity.LABEL, grid.affine)

    def _patient_grid(self, grid: Grid) -> Grid:
        return Grid(grid.shape, np.linalg.inv(self.pose) @ grid.affine)


@dataclass(frozen=True)
class EllipsoidPhantom:
    """Ellipsoids with volumes and axes by formula, for what measures label maps.

    Attributes:
        ellipsoids: In RAS mm.
    """

    ellipsoids: tuple[Ellipsoid, ...]

    def labels(self, grid: Grid) -> Image:
        """Label map by voxel centres: uint8 (1, I, J, K), n for the n-th ellipsoid from 1, later over earlier."""
        frames = np.zeros(grid.shape[::-1], dtype=np.uint8)
        for number, ellipsoid in enumerate(self.ellipsoids, start=1):
            Solid((ellipsoid,)).mark(frames, grid, number)
        return Image.from_slices(frames, Intensity.LABEL, grid.affine)


def ct_phantom(seed: int, tumors: Sequence[float] | None = None) -> CtPhantom:
    """Draw a CT torso; the same seed gives the same torso.

    Varied: size, build and fat, contrast phase (native, arterial, portal-venous) and all values, shape, tilt and place
    of the liver, organs, bowel gas, table, pose, noise and blur.

    Args:
        seed: Non-negative.
        tumors: Radius in mm of the sphere of the same volume for each tumour, 3 to 30; () for none; when None, up to
            four are drawn with 6 to 25 mm.

    Raises:
        ConfigError: A radius is out of range, or the tumours asked for do not fit into the liver.
    """
    # One stream per subject, so that asking for other tumours leaves the patient as it is.
    body, inside, scanner = (np.random.default_rng((seed, subject)) for subject in (10, 11, 12))
    frame = draw_frame(body)
    liver = draw_liver(body, frame)
    surroundings = (*draw_background(body, frame, liver), *draw_organs(body, frame, liver))
    trunk, vessels = draw_vessels(body, frame, liver)
    return CtPhantom(
        seed,
        _draw_pose(scanner),
        (*surroundings, *trunk),
        liver,
        frame.liver_hu,
        vessels,
        draw_tumors(inside, liver, frame.liver_hu, tumors),
        float(scanner.uniform(6, 20)),
        float(scanner.uniform(0.8, 1.6)),
        float(scanner.uniform(0.4, 0.9)),
    )


def default_grid(
    spacing_mm: Vector = (0.8, 0.8, 2.5),
    orientation: str = "LPS",
    rotation_deg: Vector = (0.0, 0.0, 0.0),
) -> Grid:
    """A grid that covers the torso, the whole liver always included.

    Args:
        spacing_mm: Along i, j and k.
        orientation: Patient directions in which i, j and k grow: "LPS" for axial slices from the feet up, "PIR" or
            "LIP" for sagittal or coronal ones.
        rotation_deg: Turns the field about its centre, about x, then y, then z (RAS): an oblique acquisition.

    Raises:
        ConfigError: The letters do not name three different axes.
    """
    axes = ["RLAPSI".find(letter) // 2 for letter in orientation]
    if sorted(axes) != [0, 1, 2]:
        raise ConfigError("three letters such as 'LPS', one per axis", repr(orientation), "name each axis once")
    signs = [1.0 if letter in "RAS" else -1.0 for letter in orientation]
    direction = np.zeros((3, 3))
    direction[axes, range(3)] = signs
    direction = Rotation.from_euler("xyz", rotation_deg, degrees=True).as_matrix() @ direction
    shape = [max(1, round(FIELD_MM[axis] / step)) for axis, step in zip(axes, spacing_mm, strict=True)]
    first = np.asarray(_CENTRE_MM) - direction @ ((np.asarray(shape) - 1) / 2 * np.asarray(spacing_mm))
    return grid_from_axes((shape[0], shape[1], shape[2]), spacing_mm, direction, first)


def tilted_planes(grid: Grid, tilt_deg: float) -> Grid:
    """Tilt the slices as a gantry does: each turns about its row direction i, while the table moves as before.

    Args:
        grid: Any.
        tilt_deg: Angle from j towards k.

    Returns:
        A sheared grid: slice k lies where the frame of a tilted acquisition lies, with its own position in column
        three of the affine; the steps from slice to slice are those of `grid`, the frames lean.
    """
    affine = np.array(grid.affine)
    along = grid.direction
    turn = Rotation.from_rotvec(np.cross(along[:, 1], along[:, 2]) * np.deg2rad(tilt_deg)).as_matrix()
    affine[:3, 0], affine[:3, 1] = turn @ affine[:3, 0], turn @ affine[:3, 1]
    middle = (np.asarray(grid.shape) - 1) / 2
    # The middle of the field stays where it is.
    affine[:3, 3] = grid.points_mm(middle) - affine[:3, :3] @ middle
    return Grid(grid.shape, affine)


def _draw_pose(rng: Rng) -> Affine:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", rng.normal(0, (1.5, 2.0, 2.5)).clip(-5, 5), degrees=True).as_matrix()
    pose[:3, 3] = rng.uniform(-8, 8, 3)
    return pose


def _blur_slices(frames: Array, grid: Grid, sigma_mm: float) -> None:
    for axis, spacing in ((2, grid.spacing_mm[0]), (1, grid.spacing_mm[1])):
        # A narrower kernel is a single weight; wider ones are long on very fine grids, never wrong.
        if sigma_mm / spacing > 0.25:
            gaussian_filter1d(frames, sigma_mm / spacing, axis=axis, output=frames, mode="nearest", truncate=3.0)


def _noise(rng: Rng, grid: Grid, sigma_hu: float, length_mm: float) -> NDArray[np.float32]:
    white = rng.standard_normal(grid.shape[::-1], dtype=np.float32)
    grain = rng.standard_normal(grid.shape[::-1], dtype=np.float32)
    _blur_slices(grain, grid, length_mm)
    grain *= np.float32(sigma_hu * np.sqrt(0.5) / max(float(grain.std()), 1e-3))
    white *= np.float32(sigma_hu * np.sqrt(0.5))
    white += grain
    return white
