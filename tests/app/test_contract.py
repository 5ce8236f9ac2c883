"""The command line and the codes are what docs/interface.md and docs/codes.md promise."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from app.cli import COMMANDS, load_command
from app.services.reasons import ReasonCode
from app.store.records import JobCode
from datasets.codes import RefusalCode, RepairCode
from datasets.defects import DefectCode
from pipelines.results import FailureCode, FlagCode

# Promised and not built yet. These lists only shrink.
PENDING = {"deidentify"}
PENDING_VERBS: dict[str, set[str]] = {}
PENDING_OPTIONS: dict[str, set[str]] = {
    "score": {"--workers", "--cluster"},
}


@pytest.fixture(scope="module")
def promised(repository: Path) -> dict[str, set[str]]:
    """Commands and their options as docs/interface.md tells them."""
    text = (repository / "docs" / "interface.md").read_text(encoding="utf-8")
    section = text.partition("## Commands")[2].partition("\n## ")[0]
    commands: dict[str, set[str]] = {}
    for name, rest in re.findall(r"`denselens ([a-z][a-z-]*)([^`]*)`", section):
        commands.setdefault(name, set()).update(re.findall(r"--[a-z-]+", rest))
    return commands


@pytest.fixture(scope="module")
def promised_verbs(repository: Path) -> dict[str, set[str]]:
    """Commands and the words that come right after them on that page."""
    text = (repository / "docs" / "interface.md").read_text(encoding="utf-8")
    section = text.partition("## Commands")[2].partition("\n## ")[0]
    verbs: dict[str, set[str]] = {}
    for name, verb in re.findall(r"`denselens ([a-z][a-z-]*) ([a-z][a-z-]*)\b", section):
        verbs.setdefault(name, set()).add(verb)
    return verbs


def _verbs(name: str) -> dict[str, Any]:
    """A command's own verbs, or nothing."""
    return dict(getattr(load_command(name), "commands", {}))


def _parameters(name: str) -> list[Any]:
    return [parameter for one in _verbs(name).values() or [load_command(name)] for parameter in one.params]


def _options(name: str) -> set[str]:
    return {option for parameter in _parameters(name) for option in parameter.opts if option.startswith("--")}


def test_the_page_is_parsed(promised: dict[str, set[str]]) -> None:
    assert promised["inspect"] == {"--json", "--headers-only"}
    assert promised["score"] >= {"--task", "--out", "--weights", "--device", "--set", "--fresh"}


def test_every_command_is_built_or_pending(promised: dict[str, set[str]]) -> None:
    assert set(COMMANDS) | PENDING == set(promised)
    assert set(COMMANDS) & PENDING == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_built_or_pending(name: str, promised: dict[str, set[str]]) -> None:
    built, pending = _options(name), PENDING_OPTIONS.get(name, set())
    assert promised[name] - built == pending, "promised but not built"
    assert built & pending == set(), "built: take it off the list"
    assert built - promised[name] <= {"--help"}, "built but not told in docs/interface.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    assert [parameter.name for parameter in _parameters(name) if not getattr(parameter, "help", None)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_verb_is_built_or_pending(name: str, promised_verbs: dict[str, set[str]]) -> None:
    built, pending = set(_verbs(name)), PENDING_VERBS.get(name, set())
    assert built | pending == promised_verbs.get(name, set())
    assert built & pending == set(), "built: take it off the list"


def test_verbs_are_parsed(promised_verbs: dict[str, set[str]]) -> None:
    assert promised_verbs["weights"] == {"list", "import", "export-bundle", "card"}
    assert "score" not in promised_verbs


def _listed(repository: Path, heading: str) -> dict[str, str]:
    text = (repository / "docs" / "codes.md").read_text(encoding="utf-8")
    section = text.partition(f"## {heading}")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([a-z0-9_]+)` \| (.+) \|$", section, flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("heading", "codes"),
    [
        ("Refused", RefusalCode),
        ("Repaired", RepairCode),
        ("Failed", FailureCode),
        ("Set aside", JobCode),
        ("Flagged", FlagCode),
        ("Reasons", ReasonCode),
        ("Defects", DefectCode),
    ],
)
def test_codes_are_listed_with_their_meaning(repository: Path, heading: str, codes: type[StrEnum]) -> None:
    assert list(_listed(repository, heading)) == [str(code) for code in codes]


@pytest.mark.parametrize(
    "code", [*RefusalCode, *RepairCode, *FailureCode, *JobCode, *FlagCode, *ReasonCode, *DefectCode], ids=str
)
def test_each_code_is_raised_by_a_test(repository: Path, code: StrEnum) -> None:
    named = re.compile(rf"\b[A-Z]\w*\.{code.name}\b|[\"']{code.value}[\"']")
    files = [file for file in (repository / "tests").rglob("*.py") if file != Path(__file__)]
    assert any(named.search(file.read_text(encoding="utf-8")) for file in files), f"no test raises {code}"
