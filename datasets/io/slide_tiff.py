"""Writes slides and maps as tiled TIFF with a pyramid of levels, tile by tile."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile

from datasets.errors import ConfigError
from datasets.io.atomic import atomic_path
from datasets.io.slide_pyramid import ArraySource, Pixels, PyramidLevel, SlideSource, encode_jpeg, plan_levels, tiles

_UM_PER_CM = 10_000.0
# Objective whose pixels are 10 um / magnification wide, as scanners count it.
_MPP_TIMES_MAGNIFICATION = 10.0
# A tile with nothing darker than this shows bare glass.
_GLASS = 225
_WHITE = 255
_BIG_BYTES = 2 * 10**9
# JPEG of any useful quality takes less than this share.
_JPEG_SHARE = 0.5
_THUMBNAIL_PX = 512
_X_POSITION, _Y_POSITION, _RATIONAL = 286, 287, 5
# One thread: whoever writes many slides at once decides how many.
_COMMON: dict[str, Any] = {"metadata": None, "maxworkers": 1, "software": "DenseLens"}
_COMPRESSIONS = {"jpeg": "jpeg", "deflate": "adobe_deflate", "none": None}
_SAMPLES = {1: "minisblack", 3: "rgb", 4: "rgb"}


@dataclass(frozen=True)
class PyramidOptions:
    """How a pyramid is written.

    Attributes:
        compression: "jpeg" (lossy, for grey and RGB), "deflate" or "none".
        quality: Of JPEG, 1 to 100.
        tile_px: Edge of a tile, a multiple of 16.
        factor: By how much each level is coarser than the one before.
        smallest_px: Levels are added until neither edge exceeds this.
        sparse: Leave out tiles that hold nothing: bare glass, or zeros in a map; their byte counts are 0.
        aperio: Lay the file out as an SVS, with its ImageDescription and a thumbnail.
        origin_um: Where the upper left corner lies on the slide that a map belongs to; XPosition and YPosition.
    """

    compression: Literal["jpeg", "deflate", "none"] = "jpeg"
    quality: int = 88
    tile_px: int = 256
    factor: int = 2
    smallest_px: int = 512
    sparse: bool = False
    aperio: bool = False
    origin_um: tuple[float, float] = (0.0, 0.0)


PLAIN = PyramidOptions()


def write_pyramid_tiff(source: SlideSource, path: Path, mpp: float, options: PyramidOptions = PLAIN) -> Path:
    """Write a slide as a tiled TIFF; BigTIFF where it may exceed 2 GB.

    Memory stays at some runs of tiles whatever the size: each level is read from the source, which averages.

    Args:
        source: `size_um` and `read`: a phantom, an open slide, a map; uint8, grey, RGB or RGBA.
        path: The file; its name decides nothing.
        mpp: Edge of a pixel of the finest level in um, stated by the resolution tags.
        options: How to write it.

    Returns:
        `path`.

    Raises:
        ConfigError: Options, size or pixels do not go together.
        OSError: The folder cannot be written to.
    """
    return _write(source, path, mpp, options, _WHITE)


def write_array_pyramid(
    array: Pixels, path: Path, mpp: float, options: PyramidOptions = PLAIN, *, nearest: bool = False
) -> Path:
    """Write a map, such as a heat map over a slide.

    Args:
        array: uint8 (rows, columns), (rows, columns, 3) or (rows, columns, 4).
        path: The file.
        mpp: Edge of a pixel of the array in um.
        options: How to write it; a sparse map leaves out tiles of zeros.
        nearest: Whether coarser levels take the upper left value and not the mean: for labels.

    Returns:
        `path`.

    Raises:
        ConfigError, OSError: As `write_pyramid_tiff`.
    """
    return _write(ArraySource(array, mpp, nearest=nearest), path, mpp, options, 0)


def _write(source: SlideSource, path: Path, mpp: float, options: PyramidOptions, fill: int) -> Path:
    levels = plan_levels(source.size_um, mpp, options.factor, options.smallest_px)
    probe = source.read(0.0, 0.0, 1, 1, mpp)
    channels = probe.shape[2] if probe.ndim == 3 else 1
    _check(options, probe, channels)
    big = _is_big(levels, options, channels)
    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=big) as file:
        for number, level in enumerate(levels):
            described = _described(level, options) if options.aperio else None
            # The levels of an SVS are not marked as reduced.
            kind = 1 if number and not options.aperio else 0
            file.write(
                _written(source, level, options, fill),
                shape=(level.rows, level.columns) + probe.shape[2:],
                dtype=np.uint8,
                tile=(options.tile_px, options.tile_px),
                description=described,
                subfiletype=kind,
                extratags=_origin(options),
                **_resolution(level.mpp),
                **_tags(options, channels),
                **_COMMON,
            )
            if number == 0 and options.aperio:
                _write_thumbnail(file, source, levels[0])
    return path


def _check(options: PyramidOptions, probe: Pixels, channels: int) -> None:
    if probe.dtype != np.uint8 or channels not in _SAMPLES:
        raise ConfigError("uint8 with 1, 3 or 4 channels", f"{probe.dtype} with {channels}", "convert the pixels")
    if options.tile_px < 16 or options.tile_px % 16:
        raise ConfigError("tiles of a multiple of 16 px", str(options.tile_px), "take 256")
    if options.compression == "jpeg" and channels == 4:
        raise ConfigError("grey or RGB for JPEG", "RGBA", "use deflate")
    if options.aperio and channels != 3:
        raise ConfigError("RGB for an SVS", f"{channels} channels", "write a plain pyramid")


def _written(source: SlideSource, level: PyramidLevel, options: PyramidOptions, fill: int) -> Iterator[bytes]:
    """The encoded tiles; no bytes for one that is left out."""
    for tile in tiles(source, level, options.tile_px, fill):
        empty = not tile.any() if fill == 0 else int(tile.min()) >= _GLASS
        yield b"" if options.sparse and empty else _encoded(tile, options)


def _encoded(tile: Pixels, options: PyramidOptions) -> bytes:
    if options.compression == "jpeg":
        return encode_jpeg(tile, options.quality, "444")
    return zlib.compress(tile.tobytes()) if options.compression == "deflate" else tile.tobytes()


def _tags(options: PyramidOptions, channels: int) -> dict[str, Any]:
    """Arguments of tifffile that say how the pixels are stored."""
    kept: dict[str, Any] = {"photometric": _SAMPLES[channels], "compression": _COMPRESSIONS[options.compression]}
    if channels > 1:
        kept["planarconfig"] = "contig"
    if channels == 4:
        kept["extrasamples"] = ("unassalpha",)
    if options.compression == "jpeg" and channels == 3:
        # Tells tifffile, which turns RGB under JPEG into YCbCr, what `_encoded` does. Full colour resolution: what a
        # stain looks like at the edge of a nucleus is what is measured.
        kept["subsampling"] = (1, 1)
    return kept


def _resolution(mpp: float) -> dict[str, Any]:
    return {"resolution": (_UM_PER_CM / mpp, _UM_PER_CM / mpp), "resolutionunit": "centimeter"}


def _origin(options: PyramidOptions) -> tuple[tuple[int, int, int, tuple[int, int], bool], ...]:
    if options.origin_um == (0.0, 0.0):
        return ()
    if min(options.origin_um) < 0:
        raise ConfigError("an origin on the slide", f"{options.origin_um} um", "TIFF knows no negative positions")
    # Rationals in cm to a hundredth of a micrometre.
    scale = round(_UM_PER_CM * 100)
    positions = zip((_X_POSITION, _Y_POSITION), options.origin_um, strict=True)
    return tuple((tag, _RATIONAL, 1, (round(value * 100), scale), True) for tag, value in positions)


def _described(level: PyramidLevel, options: PyramidOptions) -> str:
    size = f"{level.columns}x{level.rows}"
    tile = f"({options.tile_px}x{options.tile_px})"
    power = f"{_MPP_TIMES_MAGNIFICATION / level.mpp:.4g}"
    return f"Aperio style, DenseLens\r\n{size} [0,0 {size}] {tile} RGB|AppMag = {power}|MPP = {level.mpp:.4f}"


def _write_thumbnail(file: tifffile.TiffWriter, source: SlideSource, finest: PyramidLevel) -> None:
    """The second page of an SVS: small, in strips, not tiles."""
    step = max(1, -(-max(finest.columns, finest.rows) // _THUMBNAIL_PX))
    columns, rows = -(-finest.columns // step), -(-finest.rows // step)
    picture = source.read(0.0, 0.0, columns, rows, finest.mpp * step)
    file.write(picture, photometric="rgb", compression="adobe_deflate", **_COMMON)


def _is_big(levels: tuple[PyramidLevel, ...], options: PyramidOptions, channels: int) -> bool:
    counts = (across * down for across, down in (level.tiling(options.tile_px) for level in levels))
    share = _JPEG_SHARE if options.compression == "jpeg" else 1.0
    return share * channels * sum(counts) * options.tile_px**2 > _BIG_BYTES
