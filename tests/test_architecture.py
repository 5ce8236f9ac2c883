"""Which way the arrows point: what the import contracts of pyproject.toml cannot say."""

import ast
import graphlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("app", "pipelines", "networks", "datasets")
TORCH_FREE = ("app.cli", "networks.configs", "pipelines.results", "pipelines.task")
# Type-checking imports count here, unlike in the contracts: knowing a name is knowing a neighbour.
MUST_NOT_KNOW = {
    "datasets": ("app", "pipelines", "networks"),
    "networks": ("app", "pipelines", "datasets"),
    "pipelines": ("app",),
}
ONLY_IN = {
    "streamlit": ("app.asgi", "app.streamlit_app", "app.views", "app.components"),
    "sqlalchemy": ("app.store",),
    "starlette": ("app.routes",),
}
# Modules of app that may run a pipeline; the others ask for it through services.
RUNNERS = ("app.commands", "app.worker")
RUNNING = ("pipelines.run", "pipelines.score", "pipelines.train")
# What help has no use for.
HEAVY = {"torch", "monai", "SimpleITK", "scipy", "skimage", "highdicom", "nibabel", "pydicom", "pipelines", "networks"}
# Handed a folder, these return wrong spacing without a word; ReadImage does the same when given a list of files.
SERIES_READERS = {
    "ImageSeriesReader",
    "ImageSeriesReader_GetGDCMSeriesFileNames",
    "ITKReader",
    "ITKWriter",
    "LoadImage",
    "LoadImaged",
    "LoadImageD",
    "LoadImageDict",
    "NibabelReader",
    "NrrdReader",
    "PILReader",
    "PydicomReader",
    "ReadImage",
}


def _within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def _imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a module imports, wherever in it, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a module imports or reads as an attribute, with its line."""
    for name, line in _imports(tree):
        yield name.rpartition(".")[2], line
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno


def _outside_of_type_checking(tree: ast.Module) -> ast.Module:
    kept = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"})
    ]
    return ast.Module(body=kept, type_ignores=[])


def test_packages_know_only_those_below(trees: dict[str, ast.Module]) -> None:
    wrong = [
        f"{module}:{line} imports {name}"
        for module, tree in trees.items()
        for name, line in _imports(tree)
        if _within(name, *MUST_NOT_KNOW.get(module.partition(".")[0], ()))
    ]
    assert wrong == []


def test_there_is_no_import_cycle(trees: dict[str, ast.Module]) -> None:
    graph = {
        module: {name for name, _ in _imports(_outside_of_type_checking(tree)) if name in trees and name != module}
        for module, tree in trees.items()
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_frameworks_stay_in_their_rooms(trees: dict[str, ast.Module]) -> None:
    wrong = [
        f"{module}:{line} imports {name}"
        for module, tree in trees.items()
        for name, line in _imports(tree)
        for framework, rooms in ONLY_IN.items()
        if _within(name, framework) and not _within(module, *rooms)
    ]
    assert wrong == []


def test_only_commands_and_the_worker_run_pipelines(trees: dict[str, ast.Module]) -> None:
    wrong = [
        f"{module}:{line} imports {name}"
        for module, tree in trees.items()
        if _within(module, "app") and not _within(module, *RUNNERS)
        for name, line in _imports(tree)
        if _within(name, *RUNNING)
    ]
    assert wrong == []


def test_only_the_command_line_imports_by_name_within_app(trees: dict[str, ast.Module]) -> None:
    wrong = [
        f"{module}:{node.lineno}"
        for module, tree in trees.items()
        if _within(module, "app") and module != "app.cli"
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node).endswith(("import_module", "__import__")))
        or (isinstance(node, ast.ImportFrom) and any(alias.name == "import_module" for alias in node.names))
    ]
    assert wrong == []


def test_no_folder_goes_to_a_series_reader_of_others(trees: dict[str, ast.Module]) -> None:
    wrong = [
        f"{module}:{line} names {name}"
        for module, tree in trees.items()
        for name, line in _names(tree)
        if name in SERIES_READERS or name.startswith("GetGDCMSeries")
    ]
    wrong += [
        f"{module}:{line} imports {name}"
        for module, tree in trees.items()
        for name, line in _imports(tree)
        if _within(name, "monai.data.image_reader", "monai.transforms.io")
    ]
    assert wrong == []


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


IMPORT_ALL = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    heavy = sorted({"torch", "monai", "torchvision"} & set(sys.modules))
    if heavy:
        sys.exit(f"{name} imports {heavy}")
"""


def test_images_settings_and_results_need_no_torch(modules: dict[str, Path]) -> None:
    datasets = [name for name in modules if _within(name, "datasets")]
    done = _run(IMPORT_ALL, *TORCH_FREE, *datasets)
    assert done.returncode == 0, done.stderr


HELP = """
import json, sys
from app.cli import main
sys.argv = ["denselens", *sys.argv[1:]]
code = 0
try:
    code = main()
except SystemExit as leaving:
    code = leaving.code
packages = {name.partition(".")[0] for name in sys.modules}
print(json.dumps({"code": code or 0, "packages": sorted(packages)}), file=sys.stderr)
"""


def test_help_imports_nothing_heavy() -> None:
    done = _run(HELP, "--help")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["code"] == 0, done.stderr
    assert "score" in done.stdout
    assert HEAVY & set(told["packages"]) == set()


@pytest.mark.skipif(sys.platform == "win32", reason="processor time of a child is told by POSIX systems alone")
def test_help_takes_less_than_a_second_of_processor_time() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [str(Path(sys.executable).parent / "denselens"), "--help"]
        subprocess.run(command, check=True, capture_output=True, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(seconds) < 1.0, seconds
