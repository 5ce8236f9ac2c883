import json
import shutil

from app.access import Role
from app.services.models import list_models
from app.services.services import Services
from app.views import models
from pipelines.model_store import SHIPPED_FOLDER, file_sha256
from tests.app.views.pages import page, words_of


def table(page: object, at: int = 0) -> list[dict[str, object]]:
    return page.dataframe[at].value.to_dict("records")  # type: ignore[attr-defined]


def test_what_ships_stands_with_the_task_it_is_live_for(here: Services) -> None:
    shown = page(models.render, here, roles=frozenset({Role.READER}))
    assert not shown.exception
    rows = {row["Weights"]: row for row in table(shown)}
    assert rows.keys() == {path.stem for path in SHIPPED_FOLDER.glob("*.safetensors")}
    assert (rows["liver_ct_phantom"]["Live for"], rows["liver_ct_phantom"]["Phantoms only"]) == ("liver_ct", True)
    assert (rows["nuclei"]["Live for"], rows["nuclei"]["Phantoms only"]) == ("nuclei", False)
    # The first card is open.
    first = sorted(rows)[0]
    assert file_sha256(SHIPPED_FOLDER / f"{first}.safetensors") in words_of(shown).replace("\\", "")
    figures = {row["Figure"]: row["Value"] for row in table(shown, 1)}
    card = json.loads((SHIPPED_FOLDER / f"{first}.json").read_text())
    assert float(str(figures["auroc"])) == round(card["held_out"]["auroc"], 3)


def test_a_card_from_elsewhere_is_text_and_nothing_else(here: Services) -> None:
    folder = here.settings.data / "weights"
    folder.mkdir(parents=True)
    shutil.copy(SHIPPED_FOLDER / "liver_ct_phantom.safetensors", folder / "0_mine.safetensors")
    card = json.loads((SHIPPED_FOLDER / "liver_ct_phantom.json").read_text())
    card["limits"] = "![x](https://example.org/x.png) <script>alert(1)</script>"
    (folder / "0_mine.json").write_text(json.dumps(card))
    shown = page(models.render, here)
    rows = table(shown)
    assert rows[-1]["Weights"] == "0_mine"
    assert (rows[-1]["Origin"], rows[-1]["Live for"]) == ("installed", "no task")
    alone = words_of(page(lambda _here, _person: models.draw_card(list_models((folder,))[-1]), here))
    assert r"\!\[x\]\(https" in alone
    assert r"\<script\>" in alone
    assert "![x]" not in alone


def test_who_may_see_no_case_sees_no_model(here: Services) -> None:
    shown = page(models.render, here, roles=frozenset({Role.OPERATOR}))
    assert len(shown.exception) == 1
    assert not shown.dataframe
