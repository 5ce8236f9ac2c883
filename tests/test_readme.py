"""The README keeps its order, and everything that it tells to run or to open is there."""

import json
import re
import shlex
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image as Picture

from app.cli import main
from app.commands import demo
from app.demonstrations.liver import DemoScan, liver
from datasets.io.slide_tiff import PyramidOptions, write_pyramid_tiff
from datasets.phantoms import default_grid, film_phantom, slide_patches, slide_phantom
from datasets.phantoms.nuclei import nuclei_phantom
from networks.build import build
from networks.configs import DenseNetConfig
from tests.app.browser.installation import started
from tests.app.small_scans import dicom, nifti
from tests.pipelines.training.small_training import write_discs

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


def _pictures(folder: Path) -> None:
    """What the README's commands for films, slides, micrographs and patches are given."""
    for name in ("films", "micrographs", "patches/stroma", "patches/tumor"):
        (folder / name).mkdir(parents=True)
    Picture.fromarray(film_phantom(40).image(128).array[0, :, :, 0].T).save(folder / "films" / "film.png")
    cells = nuclei_phantom(40, count=6, shape_px=(96, 64)).image().array[0, :, :, 0].T
    Picture.fromarray(cells).save(folder / "micrographs" / "cells.png")
    write_pyramid_tiff(slide_phantom(40, (900.0, 700.0)), folder / "slide.svs", 0.97, PyramidOptions(aperio=True))
    patches = slide_patches(4, 40)
    for number, (pixels, label) in enumerate(zip(patches.pixels, patches.labels, strict=True)):
        Picture.fromarray(pixels).save(folder / "patches" / ("tumor" if label else "stroma") / f"{number}.png")
    Picture.fromarray(patches.pixels[0]).save(folder / "patch.png")


def _soon_done(words: list[str]) -> list[str]:
    """A training as it is told, but for its minutes."""
    at = words.index("--max-minutes") + 1 if "--max-minutes" in words else len(words)
    return [*words[:at], *(["0.4"] if at < len(words) else []), *words[at + 1 :]]


def _opened_and_closed(folder: Path, results: list[str]) -> int:
    """The review app runs until it is stopped: here, as soon as it answers."""
    running = started(folder, [Path(one) for one in results])
    running.process.send_signal(signal.SIGINT)
    return running.process.wait(30)


def test_every_command_works_as_typed_one_after_the_other(
    told: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "DEMONSTRATIONS", (liver((DemoScan(1, default_grid((20.0, 20.0, 30.0))),)),))
    places = {"path/to/study": dicom, "path/to/scan.nii.gz": nifti}
    for place, write in places.items():
        write(tmp_path / place)
    published = tmp_path / "path" / "to" / "densenet121.pth"
    torch.save(build(DenseNetConfig(out_channels=1000)).state_dict(), published)
    for name in ("first", "second"):
        dicom(tmp_path / "path" / "to" / "studies" / name, name)
    _pictures(tmp_path / "path" / "to")
    write_discs(tmp_path / "path" / "to" / "dataset")
    ends = {}
    for words in told:
        if words[0] == "denselens" and len(words) > 2:
            if words[1] == "review":
                ends[shlex.join(words)] = _opened_and_closed(tmp_path, words[2:])
                continue
            ends[shlex.join(words)] = main(_soon_done(words)[1:])
            # What takes minutes tells how far it is.
            told_meanwhile = capsys.readouterr().err
            assert words[1] in ("train", "evaluate") or told_meanwhile == ""
    commands = {command.split()[1] for command in ends}
    assert commands == {
        "audit",
        "demo",
        "evaluate",
        "explain",
        "inspect",
        "review",
        "score",
        "search",
        "train",
        "weights",
    }
    assert (tmp_path / "figures" / "report.html").is_file()
    assert set(ends.values()) == {0}, ends
    assert (tmp_path / "demo-out" / "liver_ct" / "contact_sheet.png").is_file()
    assert len((tmp_path / "results" / "results.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2
    for results in ("film-results", "slide-results", "nuclei-results"):
        assert len((tmp_path / results / "results.csv").read_text(encoding="utf-8").splitlines()) == 1 + 1
    assert (tmp_path / "weights" / "densenet121.safetensors").is_file()
    assert json.loads((tmp_path / "explained" / "manifest.json").read_text())["explain"]["methods"] == ["grad_cam"]
