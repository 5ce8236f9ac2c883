"""What a training tells while it runs: rows of a CSV, TensorBoard, MLflow, and whoever looks on."""

import csv
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from datasets.errors import ConfigError
from datasets.io.atomic import write_text

LOG = "log.csv"
_COLUMNS = ("stage", "step", "seconds", "loss", "rate", "examples_per_s", "waiting_share", "figure", "figures")


@dataclass(frozen=True)
class Row:
    """What was seen at a look, and since the one before.

    Attributes:
        stage: Number of the stage.
        step: Steps of it done.
        seconds: Of the training so far.
        loss: Mean since the last row.
        rate: Learning rate.
        examples_per_s: Learnt from since the last row.
        waiting_share: Share of that time in which the network waited for patches.
        figure: What decides which look was better; None where nothing is held back.
        figures: By name.
    """

    stage: int
    step: int
    seconds: float
    loss: float
    rate: float
    examples_per_s: float
    waiting_share: float
    figure: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


class Onlooker(Protocol):
    """Somebody who watches a training."""

    def on_step(self, stage: int, share: float, loss: float) -> None:
        """A step is done; `share` of the stage is over."""

    def on_row(self, row: Row) -> None:
        """A look was taken."""


class Records:
    """Writes rows to where the settings say. A context: files are closed at its end.

    Args:
        folder: Of the training.
        loggers: "csv", "tensorboard", "mlflow".
        name: Of the task, for those who keep many trainings.
    """

    def __init__(self, folder: Path, loggers: tuple[str, ...], name: str) -> None:
        self._path = folder / LOG if "csv" in loggers else None
        self._stack = ExitStack()
        self._board: Any = None
        self._flow: Any = None
        if "tensorboard" in loggers:
            self._board = import_module("torch.utils.tensorboard").SummaryWriter(str(folder / "tensorboard"))
            self._stack.callback(self._board.close)
        if "mlflow" in loggers:
            self._flow = _mlflow()
            self._stack.enter_context(self._flow.start_run(run_name=name))

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def resume_at(self, stage: int, step: int) -> None:
        """Drop rows of steps that are done again."""
        if self._path is None or not self._path.is_file():
            return
        with self._path.open(newline="", encoding="utf-8") as stream:
            kept = [row for row in csv.DictReader(stream) if (int(row["stage"]), int(row["step"])) <= (stage, step)]
        lines = [",".join(_COLUMNS), *(_line([row[column] for column in _COLUMNS]) for row in kept)]
        write_text(self._path, "\n".join(lines) + "\n")

    def write(self, row: Row, step_of_all: int) -> None:
        """Add a row; `step_of_all` counts through all stages."""
        if self._path is not None:
            fresh = not self._path.is_file()
            values = [getattr(row, column) for column in _COLUMNS[:-1]]
            with self._path.open("a", newline="", encoding="utf-8") as stream:
                if fresh:
                    stream.write(",".join(_COLUMNS) + "\n")
                stream.write(_line([*(_short(value) for value in values), json.dumps(dict(row.figures))]) + "\n")
        told = {"loss": row.loss, "rate": row.rate, "examples_per_s": row.examples_per_s, **row.figures}
        if self._board is not None:
            for name, value in told.items():
                self._board.add_scalar(name, value, step_of_all)
            self._board.flush()
        if self._flow is not None:
            self._flow.log_metrics(told, step=step_of_all)


def _mlflow() -> Any:
    try:
        return import_module("mlflow")
    except ModuleNotFoundError as error:
        raise ConfigError("mlflow to log to", "it is not installed", "pip install mlflow, or drop it") from error


def _short(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _line(values: list[str]) -> str:
    return ",".join('"' + value.replace('"', '""') + '"' if "," in value or '"' in value else value for value in values)
