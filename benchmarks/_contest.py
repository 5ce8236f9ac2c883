"""Contestants in processes of their own, run in turns: seconds and peak memory that belong to one of them alone.

Every contestant is loaded in a child process first, then they run one after the other, round by round, so that
whatever the machine does meanwhile happens to all of them. A child that waits sleeps.
"""

import ctypes
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

Run = Callable[[], Any]
Save = Callable[[Any, Path], None]

_MIB = 2**20


class ContestError(RuntimeError):
    """A contestant that died, or answers that differ where they must not."""


@dataclass(frozen=True)
class Outcome:
    """What one contestant showed.

    Attributes:
        seconds: Of every run that counts.
        peak_mib: Highest resident set while running, above the one with everything loaded.
        loaded_mib: Resident set with the network and its input loaded.
        answer: Where the last answer lies, if the work has one.
    """

    seconds: tuple[float, ...]
    peak_mib: float
    loaded_mib: float
    answer: Path

    @property
    def median_s(self) -> float:
        """Median of the runs."""
        return statistics.median(self.seconds)


class Child:
    """One contestant in its process; a context manager.

    Args:
        module: What `python -m` runs; it must call `serve` when it finds `--serve`.
        order: What the module is to load, as plain values.
        threads: For torch.
    """

    def __init__(self, module: str, order: dict[str, Any], threads: int) -> None:
        # Waiting threads that spin would take the time of whoever runs meanwhile.
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        self._told = f"{order}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "--serve", json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def answer(self) -> dict[str, Any]:
        """Wait for the next line of the child.

        Raises:
            ContestError: It died.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            told = "killed, perhaps for want of memory" if code < 0 else "see its error above"
            raise ContestError(f"a contestant left with code {code} ({told}): {self._told}")
        result: dict[str, Any] = json.loads(line)
        return result

    def ask(self, word: str) -> dict[str, Any]:
        """Send `run` or `finish` and wait for the answer.

        Raises:
            ContestError: It died.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # `answer` says what happened
        return self.answer()


def contest(
    module: str,
    orders: dict[str, dict[str, Any]],
    rounds: Sequence[Sequence[str]],
    *,
    folder: Path,
    threads: int,
    warm_up: bool = True,
) -> dict[str, Outcome]:
    """Load all contestants, then run them in turns.

    Args:
        module: See `Child`.
        orders: What each is to load, by its name.
        rounds: Names in the order in which they run.
        folder: Where answers are left.
        threads: Of each.
        warm_up: Whether each runs once before anything counts.

    Raises:
        ContestError: One died.
    """
    seconds: dict[str, list[float]] = {name: [] for name in orders}
    outcomes = {}
    with ExitStack() as stack:
        children = {}
        for name, order in orders.items():
            # One at a time: loading is not measured, and two that load at once only wait for each other.
            children[name] = stack.enter_context(Child(module, order, threads))
            children[name].answer()
        for child in children.values() if warm_up else ():
            child.ask("run")
        for name in chain.from_iterable(rounds):
            seconds[name].append(children[name].ask("run")["seconds"])
        for number, (name, child) in enumerate(children.items()):
            path = folder / f"answer-{number}.npy"
            told = child.ask(f"finish {path}")
            outcomes[name] = Outcome(tuple(seconds[name]), told["peak_mib"], told["loaded_mib"], path)
    return outcomes


def serve(run: Run, save: Save) -> None:
    """The child's side: say that everything is loaded, then run when asked, and save the last answer at the end."""
    # Libraries may print; the parent reads answers and nothing else.
    sys.stdout.flush()
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    _forget_loading()
    loaded = psutil.Process().memory_info().rss
    replies.write(json.dumps({"ready": True}) + "\n")
    result = None
    for line in sys.stdin:
        word, _, path = line.strip().partition(" ")
        if word == "run":
            result = None
            started = time.perf_counter()
            result = run()
            replies.write(json.dumps({"seconds": time.perf_counter() - started}) + "\n")
        else:
            peak = max(_peak_bytes() - loaded, 0)
            if result is not None:
                save(result, Path(path))
            replies.write(json.dumps({"peak_mib": peak / _MIB, "loaded_mib": loaded / _MIB}) + "\n")


def _forget_loading() -> None:
    """Give back what loading needed, and let Linux count the highest resident set from here; others count it too."""
    gc.collect()
    if sys.platform == "linux":
        # Freed memory that the C library keeps would be used again without being seen (absent from musl).
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
    counter = Path("/proc/self/clear_refs")
    if counter.exists() and os.access(counter, os.W_OK):
        counter.write_text("5")  # proc(5): resets the peak resident set size


def _peak_bytes() -> int:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    told = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    # Kibibytes on Linux, bytes on macOS.
    scale = 1 if sys.platform == "darwin" else 1024
    return told[0] if told else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
