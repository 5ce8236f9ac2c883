"""A plan as a YAML file that a person reads, edits and trains from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from datasets.errors import ConfigError
from datasets.example import Dataset
from datasets.io.atomic import write_text
from pipelines.fingerprint import Fingerprint, fingerprint
from pipelines.planning.planner import Plan, make_plan
from pipelines.task import Task

_COLUMN = 44


def write_plan(dataset: Dataset, task: Task, memory_gib: float, path: Path) -> Fingerprint:
    """Look at a dataset, plan a task for it, and write the YAML; its fingerprint lies beside it, as `.json`.

    Args:
        dataset: What will be trained on.
        task: What is not planned is as it says.
        memory_gib: Of the device that trains.
        path: Of the YAML; what stands there is replaced.

    Returns:
        The fingerprint.

    Raises:
        ConfigError: The data cannot be planned for, or the place cannot be written to.
        InputRefused: An image or its labels cannot be read.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError("a plan with the ending .yaml", str(path), "name the file so")
    seen = fingerprint(dataset, task)
    text = plan_text(make_plan(seen, task, memory_gib), seen, memory_gib)
    try:
        write_text(path, text)
        write_text(path.with_suffix(".json"), seen.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise ConfigError(
            "a folder that can be written to", f"{path}: {error.strerror or error}", "choose another"
        ) from error
    return seen


def plan_text(plan: Plan, seen: Fingerprint, memory_gib: float) -> str:
    """The YAML, with where its numbers are from."""
    name = " ".join("".join(c if c.isprintable() else " " for c in seen.dataset).split())
    head = (
        f"# Planned for {len(seen.cases)} cases of {seen.patients} patients of {name} and {memory_gib:g} GiB, by",
        "# nnU-Net's published rules; docs/planning.md tells what differs. Every number may be changed.",
        f"# data sha256 {seen.data_sha256}",
    )
    first = {"kind": plan.settings["kind"]}
    return "\n".join((*head, *_lines(first | plan.settings, plan.reasons))) + "\n"


def _lines(settings: Mapping[str, Any], reasons: Mapping[str, str], within: str = "") -> Iterator[str]:
    indent = "  " * within.count(".")
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield _told(f"{indent}{key}:", reasons.get(within + key))
            yield from _lines(value, reasons, f"{within}{key}.")
        else:
            yield _told(f"{indent}{key}: {_flow(value)}", reasons.get(within + key))


def _told(line: str, reason: str | None) -> str:
    return line if reason is None else f"{line:<{_COLUMN}}  # {reason}"


def _flow(value: Any) -> str:
    """One value on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()
