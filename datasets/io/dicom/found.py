"""A volume or film that was found in a series, before the series has been told apart and named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from datasets.codes import Repair, RepairCode
from datasets.errors import InputRefused
from datasets.geometry import Grid
from datasets.io.dicom.instance import Instance
from datasets.io.dicom.projection import projection_of
from datasets.study import Loaded, Series


@dataclass(frozen=True, eq=False)
class Found:
    """One volume or film.

    Attributes:
        instances: The files it is made of, at least one.
        images: Number of images.
        grid: Where the voxels are; None where unknown or refused.
        repairs: What reading it puts right.
        outcome: Reads the pixels, given all repairs to tell with them; or why that cannot be done.
        note: A further remark for people.
    """

    instances: tuple[Instance, ...]
    images: int
    grid: Grid | None
    repairs: tuple[Repair, ...]
    outcome: Callable[[tuple[Repair, ...]], Loaded] | InputRefused
    note: str = ""

    @property
    def refusal(self) -> InputRefused | None:
        """Why it cannot be used, or None."""
        return self.outcome if isinstance(self.outcome, InputRefused) else None

    def series(self, uid: str, repairs: tuple[Repair, ...]) -> Series:
        """The series as callers see it, with repairs that concern the series as a whole."""
        told = (*self._derived(), *repairs, *self.repairs)
        outcome = self.outcome
        read = partial(_refuse, outcome) if isinstance(outcome, InputRefused) else partial(outcome, told)
        first = self.instances[0]
        return Series(
            uid=uid,
            modality=first.text("Modality"),
            description=self._description(),
            images=self.images,
            grid=self.grid,
            repairs=told,
            refusal=self.refusal,
            read=read,
            name=first.text("SeriesDescription"),
            projection=projection_of(first) if self.images == 1 else "",
        )

    def _description(self) -> str:
        first = self.instances[0]
        plural = "image" if self.images == 1 else "images"
        size = f"{first.count('Columns')} x {first.count('Rows')}"
        return f"{self.images} DICOM {plural} {size}, {first.transfer_syntax.name}{self.note and ', '}{self.note}"

    def _derived(self) -> tuple[Repair, ...]:
        names = sorted(set().union(*(instance.derived for instance in self.instances)))
        if not names:
            return ()
        message = f"{' and '.join(names)} blank in the files: derived from what is stable in them"
        return (Repair(RepairCode.IDENTIFIERS_DERIVED, message),)


def refused(instances: Sequence[Instance], refusal: InputRefused, repairs: tuple[Repair, ...] = ()) -> Found:
    """Images that cannot be used."""
    images = sum(instance.frames for instance in instances)
    return Found(tuple(instances), images, None, repairs, refusal)


def _refuse(refusal: InputRefused) -> Loaded:
    raise refusal
