"""The README keeps its order, and everything that it tells to run or to open is there."""

import re
import shlex
from pathlib import Path

import pytest

ORDER = ("# DenseLens", "![", "make demo", "make test", "clinician", "researcher", "operator", "explain")


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    """The text of the README."""
    return (repository / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def told(readme: str) -> list[list[str]]:
    """The commands in its shell blocks and in its code spans, as words, comments left out."""
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL))
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", readme, flags=re.DOTALL))
    return [words for line in [*blocks.splitlines(), *spans] if (words := shlex.split(line, comments=True))]


def test_order(readme: str) -> None:
    places = [readme.find(what) for what in ORDER]
    assert -1 not in places
    assert places == sorted(places)
    assert "Research use only, not a medical device" in readme


def test_every_file_it_points_to_exists(readme: str, repository: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", readme) if not link.startswith("https://")]
    assert [link for link in links if not (repository / link).exists()] == []


def test_every_make_target_exists(told: list[list[str]], repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    asked = {words[words.index("make") + 1] for words in told if "make" in words[:-1]}
    assert {"demo", "test"} <= asked
    assert asked <= targets


def test_every_command_is_built(told: list[list[str]], repository: Path) -> None:
    built = {file.stem for file in (repository / "app" / "commands").glob("[a-z]*.py")}
    asked = {words[1] for words in told if words[0] == "denselens" and len(words) > 1}
    assert {"demo", "score", "inspect"} <= asked
    assert asked <= built
