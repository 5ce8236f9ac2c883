"""What the demonstrations of films, slides and nuclei make, show and tell; the weights that ship do the rest."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from rich.console import Console

from app.commands import demo
from app.demonstrations.films import FILMS, DemoFilm, films
from app.demonstrations.nuclei import SEEDS, nuclei
from app.demonstrations.shown import Demonstration
from app.demonstrations.slides import slides
from datasets.io.discover import open_inputs
from pipelines.task import list_tasks


def _shown(demonstration: Demonstration, folder: Path) -> list[str]:
    console = Console(width=80, record=True)
    demo._demonstrate(demonstration, folder, console)
    sheet = np.asarray(Picture.open(folder / "contact_sheet.png").convert("RGB"))
    # White dashes of the truth are on every sheet.
    assert (sheet == 255).all(axis=2).sum() > 100
    lines = console.export_text().splitlines()
    assert max(map(len, lines[:-1])) <= 80
    return lines


def _row(lines: list[str], name: str) -> list[str]:
    (line,) = [line for line in lines if line.split()[:1] == [name]]
    return line.split()[1:]


def test_every_task_that_ships_weights_is_shown() -> None:
    shown = [demonstration.task for demonstration in demo.DEMONSTRATIONS]
    assert shown == ["liver_ct", "chest_xray", "histopathology", "nuclei"]
    assert set(shown) <= set(list_tasks())


def test_films_beside_what_was_planted(tmp_path: Path) -> None:
    chosen = (DemoFilm(31, ("effusion",)), DemoFilm(32, ("nodule",), "MONOCHROME1"), DemoFilm(33, ()))
    lines = _shown(films(chosen), tmp_path)
    for film in chosen:
        stored, planted, called, missed, beyond = _row(lines, film.name)
        assert (stored, planted) == (film.stored, film.findings[0] if film.findings else "none")
        # What was called is what was planted, without what was missed and with what is beyond it.
        assert int(called) == len(film.findings) - int(missed) + int(beyond)
    assert (tmp_path / "phantoms" / "film-32.dcm").is_file()


def test_nuclei_beside_truth(tmp_path: Path) -> None:
    lines = _shown(nuclei(SEEDS[:2]), tmp_path)
    for seed in SEEDS[:2]:
        found, truth, iou = _row(lines, f"cells-{seed}")
        assert int(truth) == 40
        # Bounds that a map of another picture misses by far; the figures proper are in the model's card.
        assert abs(int(found) - int(truth)) <= 12
        assert 0.6 < float(iou) <= 1.0


def test_slides_beside_truth(tmp_path: Path) -> None:
    lines = _shown(slides((31,), (1600.0, 1200.0)), tmp_path)
    tissue, tumor, true_tumor, regions = map(float, _row(lines, "slide-31"))
    assert tumor < tissue < 1.6 * 1.2
    assert tumor == pytest.approx(true_tumor, rel=0.5, abs=0.05)
    assert regions >= 1


@pytest.mark.parametrize("make", [films, nuclei, lambda: slides((31, 32), (1600.0, 1200.0))])
def test_phantoms_are_found_in_the_order_they_were_made(make: Callable[[], Demonstration], tmp_path: Path) -> None:
    paths = make().make(tmp_path)
    with open_inputs(paths) as inventory:
        assert [study.source for study in inventory.studies] == [str(path) for path in paths]


def test_demo_films_have_not_been_trained_on() -> None:
    assert all(film.seed >= 20_000 for film in FILMS)
    assert {film.stored for film in FILMS} == {"png", "MONOCHROME1", "MONOCHROME2"}
