"""The four generic package names are ours, and nothing in the house has a name that says nothing or misleads a tool."""

import ast
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("app", "pipelines", "networks", "datasets")
NOUNLESS = {"utils", "util", "common", "core", "helpers", "helper", "misc", "tools"}
WHERE = """
import importlib.util, json, sys
print(json.dumps({name: importlib.util.find_spec(name).origin for name in sys.argv[1:]}))
"""


def test_each_name_resolves_inside_the_repository(repository: Path, tmp_path: Path) -> None:
    # From another folder, so that the current one cannot lend its packages.
    done = subprocess.run(
        [sys.executable, "-c", WHERE, *PACKAGES], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = {name: Path(origin) for name, origin in json.loads(done.stdout).items()}
    assert found == {name: repository / name / "__init__.py" for name in PACKAGES}


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_owns_the_name(name: str) -> None:
    owners = set(importlib.metadata.packages_distributions().get(name, ()))
    assert owners <= {"denselens"}, f"{owners} would shadow our package {name}: uninstall it"


@pytest.mark.parametrize("name", PACKAGES)
def test_each_package_is_typed(name: str, repository: Path) -> None:
    assert (repository / name / "py.typed").is_file()


def test_every_folder_of_modules_is_a_package(modules: dict[str, Path]) -> None:
    assert [str(file.parent) for file in modules.values() if not (file.parent / "__init__.py").is_file()] == []


def test_no_module_is_called_a_drawer(repository: Path, modules: dict[str, Path]) -> None:
    files = [*modules.values(), *(repository / "tests").rglob("*.py"), *(repository / "benchmarks").rglob("*.py")]
    parts = {(file, part) for file in files for part in file.relative_to(repository).with_suffix("").parts}
    wrong = {str(file) for file, part in parts if part in NOUNLESS or part.rpartition("_")[2] in NOUNLESS - {"core"}}
    assert wrong == set()


def test_tests_are_no_package_and_pages_are_views(repository: Path) -> None:
    assert [str(file) for file in (repository / "tests").rglob("__init__.py")] == []
    assert not (repository / "app" / "app.py").exists()
    assert not (repository / "app" / "pages").exists()


def test_imports_are_absolute(trees: dict[str, ast.Module]) -> None:
    wrong = [
        f"{module}:{node.lineno}"
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert wrong == []
