"""`denselens bench`: workloads beside their peers, as ratios.

A workload is a module of the folder `benchmarks` of a checkout whose name begins with a letter, with a docstring and a
`main` under `if __name__ == "__main__"`. One that has options of the command names them in `TAKES = ("--json", …)`:
`--json` prints one JSON object on standard output, and its `rows` are what the command hands on; `--quick` runs with
reduced sizes, to see that it works.
"""

import ast
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from datasets.errors import ConfigError

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SCHEMA = 1
_OK, _SOME_FAILED = 0, 3
# /proc/cpuinfo: x86 (flags) and ARM (Features).
_BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")


def command(
    workloads: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORKLOAD]...",
            help="Names from the list; none to see it. What follows -- goes to the workload, if it is a single one.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Reduced sizes, to see that it works.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> int:
    """Run benchmark workloads, each in a process of its own, beside their peers. Without a name: list them.

    The exit code is 3 where a workload failed.
    """
    known = list_workloads(BENCHMARKS)
    names, rest = _parted(workloads or [])
    if not names:
        _print_list(known, as_json)
        return _OK
    chosen = _chosen(names, rest, known, quick)
    document: dict[str, Any] = {"schema": SCHEMA, "machine": describe_machine(), "workloads": []}
    for workload in chosen:
        if not as_json:
            print(f"== {workload.name}", flush=True)
        handed = [option for option, asked in (("--quick", quick), ("--json", as_json)) if asked]
        document["workloads"].append(run_workload(workload, [o for o in handed if o in workload.takes] + rest, as_json))
    failed = [told["name"] for told in document["workloads"] if told["code"] != 0]
    if as_json:
        _print_json(document)
    if failed:
        print(f"denselens: failed: {', '.join(failed)}", file=sys.stderr)
    return _SOME_FAILED if failed else _OK


@dataclass(frozen=True)
class Workload:
    """A module of the benchmarks.

    Attributes:
        name: Of the module.
        told: First line of its docstring.
        takes: Options of the command that it has too.
    """

    name: str
    told: str
    takes: tuple[str, ...]


def list_workloads(folder: Path) -> dict[str, Workload]:
    """The workloads of a checkout by name, read from their sources without importing them.

    Args:
        folder: `benchmarks` in the checkout.

    Raises:
        ConfigError: There is no such folder, as after an installation from a wheel.
    """
    if not folder.is_dir() or not (folder.parent / "pyproject.toml").is_file():
        raise ConfigError(
            "the folder benchmarks of a checkout beside the package app",
            f"none at {folder}",
            "the installed package carries no benchmarks: clone the repository, run make setup there and use its "
            ".venv/bin/denselens",
        )
    files = sorted(folder.glob("[a-z]*.py"))
    return {file.stem: _read_workload(file) for file in files}


def run_workload(workload: Workload, options: list[str], captured: bool) -> dict[str, Any]:
    """Run one in a process of its own, from the checkout.

    Args:
        workload: Which.
        options: Its command line.
        captured: Collect what it prints instead of letting it through.

    Returns:
        `name`, `told`, `code` (of the process), `seconds`, `rows` (of one with `--json`), `text` (of any other).
    """
    # Spinning OpenMP threads starve each other; what is printed shall be seen at once.
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{workload.name}", *options],
        cwd=BENCHMARKS.parent,
        env=environment,
        stdout=subprocess.PIPE if captured else None,
        text=True,
        check=False,
    )
    seconds = round(time.monotonic() - started, 3)
    told = {"name": workload.name, "told": workload.told, "code": done.returncode, "seconds": seconds}
    if "--json" not in options:
        return told | {"rows": [], "text": done.stdout or ""}
    return told | {"text": ""} | _own_document(done.stdout or "", done.returncode)


def describe_machine() -> dict[str, Any]:
    """The machine, as far as speed depends on it.

    Returns:
        `processor`, `cores` (this process may use), `threads` (of torch in a workload that is not told), `bf16`
        (whether the processor computes in bfloat16; None where that cannot be found out), `memory_mib`, `load` (mean of
        the last minute, None where there is none), `python`, `torch`, `monai`.
    """
    facts = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    facts_of = [line.partition(":")[::2] for line in facts.splitlines()]
    named = {key.strip(): value.strip() for key, value in reversed(facts_of)}
    flags = named.get("flags", named.get("Features"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return {
        "processor": named.get("model name") or platform.processor() or platform.machine(),
        "cores": cores,
        "threads": int(asked) if asked.isdigit() else cores,
        "bf16": None if flags is None else any(flag in flags.split() for flag in _BF16_FLAGS),
        "memory_mib": _memory_mib(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
        "monai": importlib.metadata.version("monai"),
    }


def _memory_mib() -> int | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20


def _read_workload(file: Path) -> Workload:
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    told = (ast.get_docstring(tree) or "").partition("\n")[0]
    takes: tuple[str, ...] = ()
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["TAKES"]:
            takes = tuple(ast.literal_eval(node.value))
    return Workload(file.stem, told, takes)


def _parted(words: list[str]) -> tuple[list[str], list[str]]:
    """Names, and from the first option on what a workload is to be given."""
    first = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    return words[:first], words[first:]


def _chosen(names: list[str], rest: list[str], known: dict[str, Workload], quick: bool) -> list[Workload]:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(
            f"workloads out of {', '.join(known)}", ", ".join(unknown), "denselens bench lists what each of them does"
        )
    if rest and len(names) > 1:
        raise ConfigError("options for a single workload", f"{' '.join(rest)} for {', '.join(names)}", "run it alone")
    slow = [name for name in names if quick and "--quick" not in known[name].takes]
    if slow:
        able = ", ".join(name for name, workload in known.items() if "--quick" in workload.takes)
        raise ConfigError(
            f"--quick with a workload that has reduced sizes ({able or 'none'})", ", ".join(slow), "leave --quick away"
        )
    return [known[name] for name in dict.fromkeys(names)]


def _own_document(text: str, code: int) -> dict[str, Any]:
    """What a workload says in JSON; one that says anything else has failed, whatever it left with."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        document = None
    if isinstance(document, dict) and isinstance(document.get("rows"), list):
        return document
    return {"code": code or 1, "rows": [], "text": text}


def _print_list(known: dict[str, Workload], as_json: bool) -> None:
    if as_json:
        listed = [{"name": one.name, "told": one.told, "takes": list(one.takes)} for one in known.values()]
        _print_json({"schema": SCHEMA, "machine": describe_machine(), "workloads": listed})
        return
    width = max((len(name) for name in known), default=0)
    for name, workload in known.items():
        print(f"{name:{width}}  {workload.told}")


def _print_json(document: dict[str, Any]) -> None:
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    print()
