"""The lists that make the environment agree with each other, with what is installed and with our rule on licences."""

import importlib.metadata
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

# GPL, or pulled in by nothing we use.
UNWANTED = {"torchvision", "torchaudio", "pylibjpeg-libjpeg"}
# What torch's CUDA build from PyPI brings, and its CPU build does not; torch pins their versions itself.
OF_CUDA = ("nvidia-", "cuda-", "triton")
LESSER = {
    "connected-components-3d",
    "fastremap",
    "fill-voids",
    "openslide-bin",
    "openslide-python",
    "psycopg",
    "psycopg-binary",
}
# Parts of a distribution that are offered under a permissive licence or another, of which the permissive one is taken.
CHOSEN = {"openslide-bin": "(BSD-3-Clause OR GPL-2.0-only)"}
# GPL and AGPL; LGPL is another word, and "GNU Lesser General" another name.
STRONG = re.compile(r"\b(?:A?GPL|GNU (?:Affero )?General Public)", re.IGNORECASE)


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, object]:
    """The table [project] of pyproject.toml."""
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def requirements(project: dict[str, object]) -> dict[str, Requirement]:
    """What the project asks for, the dev extra included: canonical name -> requirement."""
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return {canonicalize_name(wanted.name): wanted for wanted in map(Requirement, lines)}


@pytest.fixture(scope="module")
def pin_lines(repository: Path) -> list[str]:
    """The lines of constraints.txt, comments left out."""
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def pins(pin_lines: list[str]) -> dict[str, Version]:
    """The pinned version of each distribution."""
    return {name: Version(version) for name, version in (line.split("==") for line in pin_lines)}


def test_pins_are_exact_sorted_and_served_by_any_index(pin_lines: list[str]) -> None:
    # A local version such as +cpu is served by one index alone.
    assert [line for line in pin_lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
    names = [line.partition("==")[0] for line in pin_lines]
    assert names == sorted({canonicalize_name(name) for name in names})


def test_every_dependency_has_a_pin_that_satisfies_it(
    requirements: dict[str, Requirement], pins: dict[str, Version]
) -> None:
    assert requirements.keys() - pins.keys() == set()
    assert [str(wanted) for name, wanted in requirements.items() if pins[name] not in wanted.specifier] == []


def test_torch_is_pinned_to_one_version(requirements: dict[str, Requirement], pins: dict[str, Version]) -> None:
    assert str(requirements["torch"].specifier) == "==2.13.0"
    assert pins["torch"] == Version("2.13.0")


def test_nothing_unwanted_is_asked_for(requirements: dict[str, Requirement], pins: dict[str, Version]) -> None:
    asked = requirements.keys() | pins.keys()
    assert {name for name in asked if name in UNWANTED or name.startswith(OF_CUDA)} == set()


def test_conda_users_get_the_same_lists(repository: Path, project: dict[str, object]) -> None:
    environment = yaml.safe_load((repository / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == project["name"]
    python, pip, lists = environment["dependencies"]
    assert pip == "pip"
    assert lists == {"pip": ["-c constraints.txt", "-e .[dev]"]}
    name, _, version = python.partition("=")
    assert name == "python"
    wanted = Requirement(f"python{project['requires-python']}").specifier
    assert f"{version}.0" in wanted
    assert set(project["optional-dependencies"]) == {"dev"}


def _closure(name: str, extras: frozenset[str] = frozenset()) -> Iterator[str]:
    """The distributions that the installed one asks for here, directly or through others."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(name, extras)]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        yield current[0]
        for line in importlib.metadata.requires(current[0]) or ():
            wanted = Requirement(line)
            marks = [{"extra": extra} for extra in (*current[1], "")]
            if wanted.marker is None or any(wanted.marker.evaluate(mark) for mark in marks):
                waiting.append((canonicalize_name(wanted.name), frozenset(wanted.extras)))


def test_every_distribution_installed_for_us_is_pinned(pins: dict[str, Version]) -> None:
    needed = {name for name in _closure("denselens", frozenset({"dev"})) if not name.startswith(OF_CUDA)}
    assert needed - {"denselens"} - pins.keys() == set()
    # The local part tells the build of torch and is left to the index that serves it.
    installed = {name: Version(Version(importlib.metadata.version(name)).public) for name in needed - {"denselens"}}
    assert {name: found for name, found in installed.items() if found != pins[name]} == {}


def _licence(metadata: importlib.metadata.PackageMetadata) -> str:
    """What a distribution says of its licence in short: the expression, else classifiers, else one line of text."""
    told = [metadata["License-Expression"]] if "License-Expression" in metadata else []
    told += [line for line in metadata.get_all("Classifier") or () if line.startswith("License ::")]
    text = metadata.get("License", "")
    return " / ".join(told or text.splitlines()[:1])


@pytest.mark.parametrize(
    ("told", "strong"),
    [
        ("GPL-3.0-or-later", True),
        ("License :: OSI Approved :: GNU General Public License v2 (GPLv2)", True),
        ("AGPL-3.0", True),
        ("MIT OR GPL-2.0", True),
        ("LGPL-3.0-or-later", False),
        ("License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", False),
        ("License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)", False),
        ("Apache-2.0", False),
    ],
)
def test_strong_copyleft_is_told_from_lesser(told: str, strong: bool) -> None:
    assert bool(STRONG.search(told)) is strong


def test_licences_of_what_is_installed_for_us() -> None:
    licences = {
        name: _licence(importlib.metadata.metadata(name)).replace(CHOSEN.get(name, "\0"), "BSD-3-Clause")
        for name in _closure("denselens", frozenset({"dev"}))
        if not name.startswith(OF_CUDA)
    }
    assert {name for name, told in licences.items() if not told} == set()
    assert {name: told for name, told in licences.items() if STRONG.search(told)} == {}
    assert {name for name, told in licences.items() if "LGPL" in told or "Lesser" in told} == LESSER


def test_unwanted_distributions_are_not_installed() -> None:
    installed = {canonicalize_name(one.metadata["Name"]) for one in importlib.metadata.distributions()}
    assert installed & UNWANTED == set()


def test_notice_names_what_is_under_the_lesser_licence(repository: Path) -> None:
    notice = (repository / "NOTICE").read_text(encoding="utf-8")
    assert {name for name in LESSER if name not in notice} == set()


def test_notice_names_every_direct_dependency(repository: Path, project: dict[str, object]) -> None:
    notice = (repository / "NOTICE").read_text(encoding="utf-8").lower()
    direct = [canonicalize_name(Requirement(line).name) for line in project["dependencies"]]
    assert [name for name in direct if not re.search(rf"^\s*{re.escape(name)}\b", notice, re.MULTILINE)] == []


def test_the_version_has_its_place_in_the_changelog(repository: Path, project: dict[str, object]) -> None:
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[([^\]]+)\]", changelog, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert project["version"] in headings


def _dry_run(repository: Path, target: str, **environment: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_", "MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "--no-print-directory", "--always-make", "--dry-run", target],
        cwd=repository,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.needs("make")
@pytest.mark.parametrize("target", ["demo", "test", "test-slow", "lint", "bench"])
def test_targets_go_through_one_stamp(repository: Path, target: str) -> None:
    told = _dry_run(repository, target)
    assert told.count("touch .venv/.installed") == 1
    assert told.count('-c constraints.txt -e ".[dev]"') == 2  # uv, and pip as fallback


@pytest.mark.needs("make")
def test_what_pip_is_told_reaches_uv(repository: Path) -> None:
    told = {
        "PIP_FIND_LINKS": "/a/wheels /b/wheels",
        "PIP_INDEX_URL": "https://one.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://two.example/simple https://three.example/simple",
        "PIP_NO_INDEX": "1",
    }
    makefile = "include Makefile\nshow-uv:\n\t@env | grep '^UV_' | sort\n"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_", "MAKE", "MFLAGS"))}

    def seen(environment: dict[str, str]) -> dict[str, str]:
        command = ["make", "--no-print-directory", "-f", "-", "show-uv"]
        done = subprocess.run(
            command, cwd=repository, env=kept | environment, input=makefile, capture_output=True, text=True, check=True
        )
        return dict(line.split("=", 1) for line in done.stdout.splitlines())

    handed = seen(told)
    assert handed["UV_FIND_LINKS"] == "/a/wheels,/b/wheels"
    assert handed["UV_DEFAULT_INDEX"] == told["PIP_INDEX_URL"]
    assert handed["UV_INDEX"] == told["PIP_EXTRA_INDEX_URL"]
    assert seen(told | {"UV_FIND_LINKS": "/c"})["UV_FIND_LINKS"] == "/c"
    assert {"UV_FIND_LINKS", "UV_DEFAULT_INDEX", "UV_INDEX"} & seen({}).keys() == set()
    assert "uv pip install --no-index" in _dry_run(repository, "setup", **told)


def test_continuous_integration_calls_the_makefile(repository: Path) -> None:
    script = repository / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert lines[0] == "set -euo pipefail"
    assert [line.split()[-1] for line in lines if line.startswith("make ")] == ["test-deps", "test"]
