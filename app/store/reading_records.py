"""Reading plans: who reads which cases, in what order, and with or without what the network said."""

from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from app.store.records import Record

Arm = Literal["aided", "unaided"]


class NewPlan(Record):
    """A reader study as somebody wants it.

    Attributes:
        name: What people call it.
        cases: Ids; each is read once by every reader.
        readers: Who reads.
        arms: With what the network said, without it, or both: then each reader reads half of the cases in either.
        seed: Of who reads what with help, and in which order.
        adjudicators: Who decides what readers said, once all have read a case; none of them reads.
    """

    name: str = Field(min_length=1, max_length=255)
    cases: tuple[str, ...] = Field(min_length=1)
    readers: tuple[str, ...] = Field(min_length=1)
    arms: tuple[Arm, ...] = ("aided",)
    seed: int = 0
    adjudicators: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        for what, named in (("cases", self.cases), ("readers", self.readers), ("arms", self.arms)):
            if not named or len(set(named)) < len(named):
                raise ValueError(f"expected {what}, each once")
        if set(self.readers) & set(self.adjudicators):
            raise ValueError("expected adjudicators who do not read")
        if not all(name.strip() for name in (self.name, *self.readers, *self.adjudicators)):
            raise ValueError("expected names that are not blank")
        return self


class Plan(NewPlan):
    """A reading plan as it was made; it is only ever closed.

    Attributes:
        id: By which it is asked for.
        made_at: When; reviews from before are no readings of it.
        made_by: Who made it.
        closed_at: From when on nobody reads for it and nobody is blinded by it; None while it is open.
    """

    id: str
    made_at: datetime
    made_by: str
    closed_at: datetime | None = None


class Assignment(Record):
    """One case that one reader is to read; never changed.

    Attributes:
        plan: Its id.
        reader: Who.
        position: In the reader's order, from 1.
        case: Its id.
        arm: Whether what the network said is shown.
    """

    plan: str
    reader: str
    position: int = Field(ge=1)
    case: str
    arm: Arm
