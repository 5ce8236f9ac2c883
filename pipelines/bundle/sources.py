"""The source files a bundle must carry to run without this project: modules, and all that they import of it.

They are copied with their imports changed from `networks.layers` to `scripts.networks.layers`, which is where MONAI's
bundles keep their code.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from sys import stdlib_module_names

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("datasets", "networks", "pipelines")
_WITHIN = "scripts"
_NAMES = "|".join(_PACKAGES)
_IMPORT = re.compile(rf"^(\s*)(from|import) ({_NAMES})\b", re.MULTILINE)
# Modules that are found by name while a program runs: f"networks.{{name}}".
_BY_NAME = re.compile(rf"(?<=[\"'])({_NAMES})\.(?=[\w{{])")


@dataclass(frozen=True)
class Sources:
    """What is copied.

    Attributes:
        modules: Paths in this project, packages' own files among them.
        requires: Distributions they need, with the versions at hand.
    """

    modules: tuple[Path, ...]
    requires: dict[str, str]

    def files(self) -> Iterator[tuple[Path, str]]:
        """Paths in the bundle, and contents."""
        yield Path(_WITHIN) / "__init__.py", '"""What the bundle runs."""\n'
        for path in self.modules:
            text = _IMPORT.sub(rf"\1\2 {_WITHIN}.\3", path.read_text(encoding="utf-8"))
            told = (
                f"# From from denselens {version('denselens')} (Apache-2.0), imports changed to lie within {_WITHIN}.\n"
            )
            yield Path(_WITHIN) / path.relative_to(_ROOT), told + _BY_NAME.sub(rf"{_WITHIN}.\1.", text)


def sources_of(modules: Iterable[str]) -> Sources:
    """Modules by dotted name, with everything they import of this project."""
    waiting, found, foreign = list(modules), set[Path](), set[str]()
    while waiting:
        name = waiting.pop()
        if name.partition(".")[0] not in _PACKAGES:
            foreign.add(name.partition(".")[0])
            continue
        path = _file_of(name)
        if path is None or path in found:
            continue
        found.add(path)
        waiting += [name.rpartition(".")[0]] if "." in name else []
        waiting += _imported(path)
    owners = packages_distributions()
    needed = {owners[name][0] for name in foreign - stdlib_module_names if name in owners}
    return Sources(tuple(sorted(found)), {name: _plain(version(name)) for name in sorted(needed)})


def scripted(name: str) -> str:
    """A dotted name as the bundle has it."""
    return f"{_WITHIN}.{name}"


def _plain(told: str) -> str:
    """Without a build: 2.13.0+cpu is 2.13.0."""
    return told.partition("+")[0]


def _file_of(name: str) -> Path | None:
    """The file of a module or package; None for what is a name within one."""
    path = _ROOT.joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def _imported(path: Path) -> list[str]:
    """What a file imports where it runs; imports for type checkers alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unused = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: list[str] = []
    for node in ast.walk(tree):
        if node in unused:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names
