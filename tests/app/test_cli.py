"""The door: exit codes, one clear line, and nothing loaded that was not asked for."""

import io
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from app.cli import COMMANDS, main
from datasets.codes import RefusalCode
from datasets.errors import ConfigError, DenseLensError, InputRefused


def _answers(monkeypatch: pytest.MonkeyPatch, do: Callable[[], int | None]) -> int:
    """The exit code when `inspect` does something else."""

    def command(path: str) -> int | None:
        """Stand in."""
        assert path == "x"
        return do()

    monkeypatch.setattr("app.commands.inspect.command", command)
    return main(["inspect", "x"])


def _raises(error: BaseException) -> Callable[[], int]:
    def do() -> int:
        raise error

    return do


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (3, 3)])
def test_what_a_command_returns_is_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, answer: int | None, code: int
) -> None:
    assert _answers(monkeypatch, lambda: answer) == code


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DenseLensError("a", "b", "do c"), "denselens: expected a; got b; do c\n"),
        (ConfigError("a\nlong", "b", "do c"), "denselens: expected a long; got b; do c\n"),
        (
            InputRefused(RefusalCode.NO_SPACING, "a", "b", "do c"),
            "denselens: refused (no_spacing): expected a; got b; do c\n",
        ),
    ],
)
def test_what_a_caller_can_put_right_is_one_line_and_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: DenseLensError, line: str
) -> None:
    assert _answers(monkeypatch, _raises(error)) == 2
    assert capsys.readouterr() == ("", line)


def test_interruption_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _answers(monkeypatch, _raises(KeyboardInterrupt())) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_bug_is_1_with_an_incident_id_and_the_traceback_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="denselens"):
        assert _answers(monkeypatch, _raises(ZeroDivisionError("oops"))) == 1
    told = capsys.readouterr().err
    incident = told.partition("incident ")[2][:8]
    assert len(told.splitlines()) == 1
    assert int(incident, 16) >= 0
    assert incident in caplog.text
    assert "ZeroDivisionError: oops" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspct"], "No such command 'inspct'. Did you mean 'inspect'?"),
        (["inspect"], "Missing argument 'PATH'"),
        (["inspect", "x", "--jsn"], "--jsn"),
        (["--nothing"], "--nothing"),
    ],
)
def test_wrong_usage_is_one_line_and_2(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert len(told.err.splitlines()) == 1


def test_no_command_shows_help_and_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "inspect" in capsys.readouterr().out


def test_help_names_every_command_and_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in COMMANDS)
    assert "Research use only" in told
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("denselens ")


def test_help_of_a_command_shows_its_docstring_without_the_sections(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--help"]) == 0
    told = capsys.readouterr().out
    assert "--json" in told
    assert "what would be repaired" in told
    assert "Args:" not in told


def test_help_loads_no_command_and_no_array_library() -> None:
    code = (
        "import sys; from app.cli import main; main(['--help'])\n"
        "heavy = {'torch', 'monai', 'numpy', 'pydantic', 'yaml', 'app.commands'}\n"
        "sys.exit(str(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "set()"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    for number in range(300):
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)), tmp_path / f"{number}.nii")
    command = [str(Path(sys.executable).parent / "denselens"), "inspect", str(tmp_path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert isinstance(process.stdout, io.BufferedReader)
        assert process.stdout.readline() == b"{\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_a_real_bug_shows_its_traceback_on_standard_error() -> None:
    code = (
        "import sys, app.commands.inspect as module; from app.cli import main\n"
        "def command(path: str) -> None: 1 / 0\n"
        "module.command = command; sys.exit(main(['inspect', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("denselens: a bug")
    assert done.stdout == ""
