"""ruff, its formatter, mypy in strict mode and import-linter pass, as tests, so that one command runs all there is."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = {
    "ruff": ("ruff", "check", "--quiet", "."),
    "format": ("ruff", "format", "--check", "--quiet", "."),
    "mypy": ("mypy",),
    "imports": ("lint-imports",),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_linter_is_content(name: str, repository: Path) -> None:
    program, *arguments = COMMANDS[name]
    found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
    assert found is not None, f"{program} belongs to the dev extra: pip install -c constraints.txt -e '.[dev]'"
    done = subprocess.run([found, *arguments], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(COMMANDS[name])}\n{done.stdout}\n{done.stderr}"
