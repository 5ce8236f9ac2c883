"""Budgets that ruff does not count: lines of a file, methods of a class, levels of inheritance, exceptions to rules."""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("app", "pipelines", "networks", "datasets")
LINES = 300
LINES_WITH_REASON = 400
# A comment among a file's first lines that says why the file is longer than others.
REASON = re.compile(r"^# Long because \w+")
REASON_WITHIN = 12
PUBLIC_METHODS = 12
LEVELS = 2
DOORS = ("app.cli", "app.commands")
EXCEPTION = re.compile(
    r"#\s*(?:ruff:\s*|flake8:\s*)?noqa\b|#\s*type:\s*ignore\b|#\s*mypy:\s*ignore-errors\b", re.IGNORECASE
)
CODED = re.compile(r"#\s*(?:ruff:\s*)?noqa:\s*[A-Z]+\d+|#\s*type:\s*ignore\[[a-z-]+", re.IGNORECASE)


def _files(repository: Path) -> list[Path]:
    return [
        file for folder in (*PACKAGES, "tests", "benchmarks") for file in sorted((repository / folder).rglob("*.py"))
    ]


def _allowed_lines(text: list[str]) -> int:
    return LINES_WITH_REASON if any(REASON.match(line) for line in text[:REASON_WITHIN]) else LINES


def test_files_are_short(repository: Path) -> None:
    wrong = []
    for file in _files(repository):
        text = file.read_text(encoding="utf-8").splitlines()
        if len(text) > _allowed_lines(text):
            wrong.append(f"{file.relative_to(repository)}: {len(text)} lines, {_allowed_lines(text)} allowed")
    assert wrong == []


def test_a_reason_buys_a_hundred_lines() -> None:
    assert _allowed_lines(['"""A module."""']) == LINES
    assert (
        _allowed_lines(['"""A module."""', "", "# Long because one table names every tag once."]) == LINES_WITH_REASON
    )
    assert _allowed_lines(['"""A module."""', "# Long because"]) == LINES
    assert _allowed_lines([*[""] * REASON_WITHIN, "# Long because one table names every tag once."]) == LINES


def _public_methods(node: ast.ClassDef) -> set[str]:
    return {
        method.name
        for method in node.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
        and not method.name.startswith("_")
        and not any("property" in ast.unparse(mark) for mark in method.decorator_list)
    }


def test_classes_are_small(trees: dict[str, ast.Module]) -> None:
    wrong = [
        f"{module}.{node.name}: {len(_public_methods(node))} public methods"
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and len(_public_methods(node)) > PUBLIC_METHODS
    ]
    assert wrong == []


def _known_names(module: str, tree: ast.Module) -> dict[str, str]:
    """What the names in a module stand for: local name -> full dotted name."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            known[node.name] = f"{module}.{node.name}"
        elif isinstance(node, ast.ImportFrom) and node.module:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
    return known


def _parents(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """The bases of each of our classes that are ours too."""
    bases: dict[str, set[str]] = {}
    for module, tree in trees.items():
        known = _known_names(module, tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                written = [ast.unparse(base).partition("[")[0].partition(".") for base in node.bases]
                bases[f"{module}.{node.name}"] = {known.get(head, head) + dot + tail for head, dot, tail in written}
    return {name: {base for base in own if base in bases} for name, own in bases.items()}


def _level(name: str, parents: dict[str, set[str]]) -> int:
    return max((1 + _level(parent, parents) for parent in parents[name] if parent != name), default=0)


def test_inheritance_is_shallow(trees: dict[str, ast.Module]) -> None:
    parents = _parents(trees)
    assert {name: level for name in parents if (level := _level(name, parents)) > LEVELS} == {}


def test_levels_are_counted_across_modules() -> None:
    trees = {
        "datasets.a": ast.parse("class A(Exception): ..."),
        "datasets.b": ast.parse(
            "from datasets.a import A as Root\nimport datasets.a as a\nclass B(Root): ...\nclass C(a.A): ..."
        ),
        "datasets.c": ast.parse("import datasets.b\nclass D(datasets.b.B): ...\nclass E(D): ..."),
    }
    parents = _parents(trees)
    levels = {name.rpartition(".")[2]: _level(name, parents) for name in parents}
    assert levels == {"A": 0, "B": 1, "C": 1, "D": 2, "E": 3}


def _own_imports(function: ast.AST) -> Iterator[int]:
    for node in ast.walk(function):
        if isinstance(node, ast.Import) and any(alias.name.partition(".")[0] in PACKAGES for alias in node.names):
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PACKAGES:
            yield node.lineno


def test_functions_import_nothing_of_ours(trees: dict[str, ast.Module]) -> None:
    wrong = [
        f"{module}:{line}"
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for line in _own_imports(node)
    ]
    assert wrong == []


def test_only_the_command_line_prints(trees: dict[str, ast.Module]) -> None:
    wrong = [
        f"{module}:{node.lineno}"
        for module, tree in trees.items()
        if not any(module == door or module.startswith(door + ".") for door in DOORS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "exit", "quit"}
    ]
    assert wrong == []


def test_every_exception_to_a_rule_names_the_rule(repository: Path) -> None:
    wrong = []
    for file in _files(repository):
        with tokenize.open(file) as source:
            comments = [token for token in tokenize.generate_tokens(source.readline) if token.type == tokenize.COMMENT]
        wrong += [
            f"{file.relative_to(repository)}:{comment.start[0]}: {comment.string}"
            for comment in comments
            if EXCEPTION.search(comment.string) and not CODED.search(comment.string)
        ]
    assert wrong == []
