"""Why what is said about a slide should be read with care."""

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.slide import Overview, Slide
from pipelines.histology.scan import Scan
from pipelines.histology.tissue import Tissue
from pipelines.results import FlagCode, QualityFlag, Severity, flag

# Pixel sizes are rounded by those who write them down.
_TOLERANCE = 1.03
_MOST_COARSE = 2.0
_LARGE_SHARE = 0.1
_DECIMALS = 9


def pixel_um(slide: Slide) -> tuple[float, float]:
    """Micrometres per pixel of the finest level, (x, y).

    Raises:
        InputRefused: `no_spacing`.
    """
    across, down = (size_um / size_px for size_um, size_px in zip(slide.size_um, slide.size_px, strict=True))
    # Multiplied and divided, 0.499 is 0.49899999999999994.
    return round(across, _DECIMALS), round(down, _DECIMALS)


def resolution_flags(slide: Slide, patch_mpp: float) -> tuple[QualityFlag, ...]:
    """Whether a slide shows what patches are to show.

    Raises:
        InputRefused: `no_spacing`; `resolution_too_coarse`: its pixels are more than twice as large as those of
            patches.
    """
    coarsest = max(pixel_um(slide))
    if coarsest <= patch_mpp * _TOLERANCE:
        return ()
    if coarsest > patch_mpp * _MOST_COARSE:
        raise InputRefused(
            RefusalCode.RESOLUTION_TOO_COARSE,
            f"a slide of at most {_MOST_COARSE * patch_mpp:g} um per pixel",
            f"{coarsest:g} um per pixel in {slide.name}",
            f"scan the slide at 10x or more; if it was, state it: --set mpp={patch_mpp:g}",
        )
    message = f"{coarsest:.3g} um per pixel are coarser than the {patch_mpp:g} that the network was trained on"
    return (flag(FlagCode.RESOLUTION_TOO_COARSE, "warning", message),)


def tissue_flags(tissue: Tissue, little_mm2: float) -> tuple[QualityFlag, ...]:
    """Whether ink lies on the slide, or hardly any tissue."""
    flags = []
    if tissue.ink.any():
        message = f"pen marks cover {tissue.ink_mm2:.2f} mm2 of the slide; what lies under them was not looked at"
        flags.append(flag(FlagCode.PEN_MARKS, "warning", message))
    if tissue.area_mm2 < little_mm2:
        message = f"the slide holds only {tissue.area_mm2:.2f} mm2 of tissue"
        flags.append(flag(FlagCode.LITTLE_TISSUE, "warning", message))
    return tuple(flags)


def unreadable_flags(overview: Overview, scan: Scan) -> tuple[QualityFlag, ...]:
    """Whether some of the slide could not be read."""
    seen = []
    if overview.unreadable_tiles:
        seen.append(f"{overview.unreadable_tiles} tiles of the overview, where tissue was not searched for")
    total = scan.unreadable + int(scan.looked.sum())
    if scan.unreadable:
        seen.append(f"{scan.unreadable} of {total} patches, which were left out")
    if not seen:
        return ()
    severity: Severity = "error" if scan.unreadable > _LARGE_SHARE * total else "warning"
    return (flag(FlagCode.UNREADABLE_TILES, severity, f"these could not be read: {'; '.join(seen)}"),)


def stain_flag() -> QualityFlag:
    """That the stains could not be told from each other."""
    message = "hematoxylin and eosin could not be told from each other; colours were taken as they are"
    return flag(FlagCode.STAIN_NOT_NORMALISED, "warning", message)


def dropped_flags(dropped_mm2: float, count: int) -> tuple[QualityFlag, ...]:
    """Whether positive regions were left out for being small."""
    if not count:
        return ()
    message = f"{count} positive regions, {dropped_mm2:.3f} mm2 together, are too small and were not called tumour"
    return (flag(FlagCode.FRAGMENTS_DROPPED, "info", message),)


def no_tissue(slide: Slide, overview: Overview, tissue: Tissue) -> InputRefused:
    """The refusal of a slide without tissue."""
    if overview.unreadable_tiles:
        return InputRefused(
            RefusalCode.UNREADABLE_TILE,
            "tiles that can be decoded",
            f"no tissue in {slide.name}, of which {overview.unreadable_tiles} tiles cannot be",
            "copy the file again, or export the slide anew",
        )
    ink = f" and {tissue.ink_mm2:.2f} mm2 of pen marks" if tissue.ink.any() else ""
    return InputRefused(
        RefusalCode.NO_TISSUE,
        "tissue",
        f"a slide with {tissue.area_mm2:.2f} mm2 of it{ink}: {slide.name}",
        "check that the slide is stained, and not the wrong side of the glass",
    )
