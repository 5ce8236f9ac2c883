"""The `denselens` command: names the commands, and loads one when it is called.

A command is a row of `COMMANDS` and a module `app.commands.<name>` (a dash is an underscore there) with a typed
function `command`: its parameters, annotated with `typer.Option(help=…)` and `typer.Argument(help=…)`, are the
command line, the first paragraphs of its docstring the help, and what it returns the exit code (None is 0). It raises
`DenseLensError` for what the caller can put right and lets everything else pass. A command with verbs of its own
(`weights list`, `weights import`) has, in place of that function, a dictionary `VERBS` from verb to such a function.

Exit codes: 0 all well; 1 a bug, with an incident id; 2 wrong usage, configuration or input as a whole; 3 finished, but
some studies failed; 130 interrupted.
"""

import importlib
import importlib.metadata
import inspect
import logging
import os
import re
import sys
import traceback
import uuid
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from datasets.errors import DenseLensError, InputRefused

COMMANDS = {
    "demo": "Score phantom studies with the weights that ship and show found beside truth.",
    "score": "Score studies: segmentations, findings and measurements into a folder.",
    "explain": "Make maps of what a network saw in its findings, each with a score card that judges it.",
    "evaluate": "Compare predictions with a reference: figures with intervals, paired tests, a report.",
    "train": "Train a task on data of your own; go on with a training that was broken off.",
    "audit": "Tell what is wrong with a dataset before training on it; put it right in a copy.",
    "inspect": "Tell what a file, folder or archive holds, what would be repaired and what refused.",
    "search": "Show the patches of an index that look most like others; make such an index.",
    "data": "Show what public datasets there are; fetch one.",
    "calibrate": "Fit calibration and operating points of a classifier, into its weights' card.",
    "weights": "Show what weights there are; import published ones and bundles; export bundles.",
    "review": "Open the review app: the worklist, images, findings, maps and your decisions.",
    "worker": "Score what is in the queue and put the results on the worklist.",
    "audit-log": "See whether the log of decisions is whole.",
    "bench": "Run benchmark workloads beside their peers.",
}

OK, BUG, REFUSED, SOME_FAILED, INTERRUPTED = 0, 1, 2, 3, 130

_DOCSTRING_SECTIONS = re.compile(r"\n\s*(?:Args|Returns|Raises|Yields|Examples?):")
_log = logging.getLogger("denselens")


class _LazyCommands(TyperGroup):
    """Commands that are known by name and one line until one of them is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, told in COMMANDS.items():
            self.add_command(TyperCommand(name=name, help=told))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, known, rest = super().resolve_command(ctx, args)
        return name, known if name is None else load_command(name), rest


def load_command(name: str) -> Any:
    """Import a command and build its command line.

    Args:
        name: A key of `COMMANDS`.

    Returns:
        A Typer command with parameters, or a group of them by verb.
    """
    module = importlib.import_module(f"app.commands.{name.replace('-', '_')}")
    verbs = getattr(module, "VERBS", None)
    alone = typer.Typer(name=name, add_completion=False, help=COMMANDS[name])
    for verb, function in (verbs or {name: module.command}).items():
        alone.command(verb, help=_help(function) or COMMANDS[name])(function)
    if verbs:
        alone.callback()(_of_no_use_alone)
    return typer.main.get_command(alone)


def _help(function: Callable[..., Any]) -> str:
    """What stands in a docstring before its sections."""
    told = _DOCSTRING_SECTIONS.split(inspect.cleandoc(function.__doc__ or ""))[0]
    # The lines of a paragraph are the source's; the terminal has lines of its own.
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in told.split("\n\n"))


def _of_no_use_alone() -> None:
    """Keep Typer from dropping the verb of a command that has only one."""


cli = typer.Typer(name="denselens", cls=_LazyCommands, add_completion=False, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"denselens {importlib.metadata.version('denselens')}")
        raise typer.Exit


@cli.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Segments and classifies medical images and shows its work. Research use only, not a medical device."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(REFUSED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: Without the program's name; those of the process when None.

    Returns:
        The exit code.
    """
    # Before anything imports torch: threads that wait by spinning starve each other on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _quieten()
    try:
        code = cli(args=arguments, prog_name="denselens", standalone_mode=False)
        sys.stdout.flush()
    except DenseLensError as error:
        return _say(_told(error), REFUSED)
    except typer.TyperException as error:
        return _say(f"{error.format_message()} (see denselens --help)", REFUSED)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # The reader of our output went away, as `| head` does (typer and rich turn that into SystemExit; no command of
        # ours leaves that way). What is still buffered must not fail again while Python shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception:  # noqa: BLE001 - the one guard of this door: a bug gets a number, not a wall of text
        return _report_bug()
    if code == INTERRUPTED:
        return _say("interrupted; safe to run again", INTERRUPTED)
    return code if isinstance(code, int) else OK


def _quieten() -> None:
    """Send logs to standard error, and keep libraries from writing what stands in a header there."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")
    # pydicom and others quote offending values in warnings: a name may be among them.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _told(error: DenseLensError) -> str:
    return f"refused ({error.code}): {error}" if isinstance(error, InputRefused) else str(error)


def _say(text: str, code: int) -> int:
    print(f"denselens: {' '.join(text.split())}", file=sys.stderr)
    return code


def _report_bug() -> int:
    incident = uuid.uuid4().hex[:8]
    _log.error("incident %s\n%s", incident, traceback.format_exc())
    return _say(f"a bug in denselens, not in your input: please report incident {incident} with the lines above", BUG)


if __name__ == "__main__":
    sys.exit(main())
