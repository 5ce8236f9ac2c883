"""Tumour on stained sections: a patch classifier over whole slides, a map, and the regions in it.

Patches follow PatchCamelyon (Veeling et al., MICCAI 2018): 96 pixels of 0.97 um, and a label that says whether there is
any tumour in the 32 pixels in the middle. A cell of the map stands for such a middle. The map of that classifier is
wider than the tumour by half a cell, because any tumour will do; the second network that sees the map as a picture (the
idea of DRU-Net) is trained to say where half of a cell is tumour, and undoes that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Self

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from datasets.codes import Repair, RepairCode
from datasets.errors import ConfigError
from datasets.picture_slide import PictureSlide
from datasets.slide import Slide
from datasets.study import Series
from networks.configs import Input
from pipelines.calibration import Platt
from pipelines.examination import Assistant, Chosen, Clock, Examination, Instruments
from pipelines.histology import slide_flags
from pipelines.histology.fields import fields_about, hottest_cells, loose_field
from pipelines.histology.heat_map import HeatMap, Region
from pipelines.histology.hot_spots import LABEL, region_findings, slide_quantities
from pipelines.histology.light import Floats, Pixels
from pipelines.histology.loose_patches import PatchJudge, colour_pixels
from pipelines.histology.patch_grid import PatchGrid
from pipelines.histology.patch_network import PatchNetwork, refined
from pipelines.histology.patch_stream import PatchStream
from pipelines.histology.scan import Scan, Scanner
from pipelines.histology.settings import HotSpotSettings, Probability, RefinerSettings, StainSettings, TissueSettings
from pipelines.histology.slide_files import SlideFiles
from pipelines.histology.stain import StainNormaliser, Stains, estimate_stains
from pipelines.histology.tissue import Tissue, find_tissue
from pipelines.image_records import SlideRecord
from pipelines.model_store import Card
from pipelines.patch_input import IMAGENET
from pipelines.regions import Mask
from pipelines.task import Task

_REFINER = "refiner"


class Histopathology(Task):
    """Settings and steps of the histopathology task."""

    kind: Literal["histopathology"] = "histopathology"
    modalities: tuple[str, ...] = ("SM",)
    mpp: PositiveFloat | None = Field(
        default=None, description="um per pixel of the slide's finest level, or of the picture; null: as the file says"
    )
    patch_px: PositiveInt = Field(default=96, description="edge of a patch (PCam)")
    patch_mpp: PositiveFloat = Field(default=0.97, description="um per pixel of a patch (PCam: 10x)")
    stride_px: PositiveInt = Field(
        default=32, description="edge of a cell of the map, in pixels of a patch (PCam: 32 are what a label is about)"
    )
    look_first_px: PositiveInt | None = Field(
        default=96, description="of squares this large one cell is looked at first; null: all are"
    )
    look_closer_from: float = Field(
        default=0.05, ge=0.0, le=1.0, description="the network's probability from which all cells around are looked at"
    )
    batch: PositiveInt = Field(default=64, description="patches per call of the network")
    input: Input | None = Field(default=None, description="what pixels the weights expect; null: as their card says")
    threshold: Probability | None = Field(
        default=None, description="of the probability that is told; null: the operating point of the weights' card"
    )
    calibration: tuple[PositiveFloat, float] | None = Field(
        default=None, description="slope and intercept on the log odds; null: as the weights' card says"
    )
    tissue: TissueSettings = TissueSettings()
    stain: StainSettings = StainSettings()
    refiner: RefinerSettings | None = None
    hot_spots: HotSpotSettings = HotSpotSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        network = self.network
        if network.name != "densenet" or (network.spatial_dims, network.in_channels) != (2, 3):
            raise ValueError(f"expected a densenet of 2D pictures in colour; got {network.name}; set network")
        if network.out_channels > 2:
            raise ValueError(f"expected one logit of tumour, or two; got {network.out_channels}; correct out_channels")
        if (self.patch_px - self.stride_px) % 2:
            got = f"patch_px {self.patch_px} and stride_px {self.stride_px}"
            raise ValueError(f"expected a cell in the middle of a patch; got {got}; make both even or both odd")
        if self._first_step % 2 == 0 or self.stride_px * self._first_step != (self.look_first_px or self.stride_px):
            got = f"look_first_px {self.look_first_px} with stride_px {self.stride_px}"
            raise ValueError(f"expected squares of 1, 3, 5 … cells; got {got}; take 3 * stride_px, or null")
        if self.refiner is not None and self.refiner.weights and self.refiner.stride_px != self.stride_px:
            got = f"stride_px {self.stride_px}"
            raise ValueError(
                f"expected the refiner's cells of {self.refiner.stride_px} px; got {got}; set refiner: null"
            )
        if self.input is not None and self.input.channels != 3:
            raise ValueError(f"expected an input of 3 channels; got {self.input.channels}; correct input")
        return self

    def assistants(self) -> Mapping[str, Assistant]:
        """The refiner, where it has weights."""
        if self.refiner is None or self.refiner.weights is None:
            return {}
        return {_REFINER: Assistant(self.refiner.network, self.refiner.weights)}

    @property
    def explained_labels(self) -> tuple[str, ...]:
        """Tumour, in the regions that hold most of it."""
        return (LABEL,)

    def suited_to(self, card: Card | None) -> Self:
        """Input, calibration and operating point from the weights' card, where the YAML leaves them open.

        Raises:
            ConfigError: The weights expect patches of another size.
        """
        if card is None:
            return self
        known = self.input or card.input
        if known is not None and known.size_px not in (None, self.patch_px):
            got = f"patch_px {self.patch_px}"
            raise ConfigError(f"patches of {known.size_px} pixels, as {card.name} takes", got, "correct patch_px")
        calibration = self.calibration or card.calibration.get(LABEL)
        threshold = self.threshold
        if threshold is None and LABEL in card.operating_points:
            threshold = float(Platt(*(calibration or ()))(card.operating_points[LABEL]))
        return self.model_copy(update={"input": known, "calibration": calibration, "threshold": threshold})

    def examine(self, chosen: Chosen, instruments: Instruments, clock: Clock) -> Examination:
        """Look at a slide, at a picture of a part of one, at a patch, or at a file of many patches.

        Raises:
            InputRefused: It cannot be scored honestly.
        """
        series = chosen.series[0]
        network = PatchNetwork(instruments.network, self.input or IMAGENET, instruments.compute)
        if series.stack is not None:
            with clock.measure("network"), series.stack() as stack:
                return self._judge(network).examine_stack(stack)
        with clock.measure("load"):
            slide, repairs = self._opened(series)
        with slide:
            if slide.mpp is None and slide.size_px == (self.patch_px, self.patch_px):
                with clock.measure("network"):
                    # At a pixel size of its own, whatever that is.
                    pixels = slide.with_mpp(1.0).read(0.0, 0.0, self.patch_px, self.patch_px, 1.0)
                    said = self._judge(network).examine_patch(pixels)
                    return replace(said, repairs=repairs, seen=(loose_field(pixels, network.input),))
            said = self._examine_slide(slide, network, instruments, clock)
            return replace(said, repairs=repairs, sources=() if slide.dicom is None else (slide.dicom,))

    def _opened(self, series: Series) -> tuple[Slide, tuple[Repair, ...]]:
        """The slide of a series, its picture taken for one, and what is known about it from outside."""
        slide: Slide
        repairs: tuple[Repair, ...] = ()
        if series.slide is not None:
            slide = series.slide()
        else:
            loaded = series.load()
            repairs = loaded.repairs
            slide = PictureSlide([colour_pixels(loaded.image, series.uid)], None, series.uid)
        if self.mpp is None:
            return slide, repairs
        said = "does not say" if slide.mpp is None else f"says {slide.mpp[0]:g} x {slide.mpp[1]:g}"
        message = f"{self.mpp:g} um per pixel were stated; the file {said}"
        return slide.with_mpp(self.mpp), (*repairs, Repair(RepairCode.MPP_STATED, message))

    def _examine_slide(
        self, slide: Slide, network: PatchNetwork, instruments: Instruments, clock: Clock
    ) -> Examination:
        coarse = slide_flags.resolution_flags(slide, self.patch_mpp)
        grid = PatchGrid.over(slide.size_um, self.stride_px, self.patch_px, self.patch_mpp)
        cell_px = max(round(grid.cell_um / self.tissue.mpp), 1)
        with clock.measure("load"):
            overview = slide.overview(grid.cell_um / cell_px)
        with clock.measure("preprocess"):
            tissue = find_tissue(overview, self.tissue)
            shares = tissue.shares(cell_px, grid.rows, grid.columns)
            wanted = (shares >= self.tissue.min_share) & (shares > 0)
            if not wanted.any():
                raise slide_flags.no_tissue(slide, overview, tissue)
            stains = self._stains(slide, grid, wanted, tissue)
        normalise = StainNormaliser.of(stains, Stains.of(self.stain.reference)) if stains is not None else _as_it_is
        scanner = Scanner(
            slide,
            grid,
            lambda pixels: network.probabilities(normalise(pixels)),
            self.batch,
            self._first_step,
            self.look_closer_from,
        )
        with clock.measure("network"):
            scan = scanner.scan(wanted)
            told, threshold = self._map(scan, instruments)
        with clock.measure("postprocess"):
            heat_map = HeatMap(grid, told, scan.raw, tissue, cell_px, threshold)
            regions = heat_map.regions(0.0)
            said = self._said(heat_map, regions, scan, slide, stains)
        with clock.measure("load"):
            places = hottest_cells(heat_map, self._large(regions))
            fields = tuple(fields_about(places, slide, grid, (normalise, network.input)))
        lost = slide_flags.unreadable_flags(overview, scan)
        return replace(said, flags=(*coarse, *lost, *said.flags), seen=fields)

    def _stains(self, slide: Slide, grid: PatchGrid, wanted: Mask, tissue: Tissue) -> Stains | None:
        """How the slide is stained, from patches all over the tissue; None where that is not asked for or unknown."""
        if self.stain.method == "none":
            return None
        cells = np.argwhere(wanted)
        some = np.unique(np.linspace(0, len(cells) - 1, self.stain.patches).round().astype(np.int64))
        seen = [batch.pixels.reshape(-1, 3) for batch in PatchStream(slide, grid, cells[some], self.batch)]
        return estimate_stains(np.concatenate(seen), tissue.light, self.stain) if seen else None

    def _map(self, scan: Scan, instruments: Instruments) -> tuple[Floats, float]:
        """The probabilities that are told, (rows, columns), and from which on a cell is positive."""
        if self.refiner is not None and _REFINER in instruments.assistants:
            network = instruments.assistants[_REFINER]
            return refined(network, scan.raw, scan.known, instruments.compute), self.refiner.threshold
        return self._platt(scan.raw).astype(np.float32), self._threshold

    def _large(self, regions: Sequence[Region]) -> tuple[Region, ...]:
        """Those that count as tumour."""
        return tuple(region for region in regions if region.area_mm2 >= self.hot_spots.min_area_mm2)

    def _said(
        self, heat_map: HeatMap, every: Sequence[Region], scan: Scan, slide: Slide, stains: Stains | None
    ) -> Examination:
        regions = self._large(every)
        dropped = sum(region.area_mm2 for region in every) - sum(region.area_mm2 for region in regions)
        mpp = slide_flags.pixel_um(slide)
        flags = (
            *slide_flags.tissue_flags(heat_map.tissue, self.tissue.little_mm2),
            *slide_flags.dropped_flags(dropped, len(every) - len(regions)),
            *((slide_flags.stain_flag(),) if stains is None and self.stain.method != "none" else ()),
        )
        calibrated = self.calibration is not None and not self.assistants()
        return Examination(
            findings=region_findings(heat_map, regions[: self.hot_spots.count], calibrated=calibrated),
            quantities=slide_quantities(heat_map, regions, int(scan.looked.sum())),
            flags=flags,
            slide=SlideRecord(size_px=slide.size_px, mpp=mpp, kind=slide.kind),
            files=SlideFiles(heat_map, regions, scan.looked, mpp, stains, self.stain).files(),
        )

    def _judge(self, network: PatchNetwork) -> PatchJudge:
        calibrated = self.calibration is not None
        return PatchJudge(network.probabilities, self._platt, calibrated, self._threshold, self.patch_px, self.batch)

    @property
    def _platt(self) -> Platt:
        return Platt(*(self.calibration or ()))

    @property
    def _threshold(self) -> float:
        return 0.5 if self.threshold is None else self.threshold

    @property
    def _first_step(self) -> int:
        return max((self.look_first_px or self.stride_px) // self.stride_px, 1)


TASK = Histopathology


def _as_it_is(pixels: Pixels) -> Pixels:
    return pixels
