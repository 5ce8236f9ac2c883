"""What the viewer says when the server refuses or is gone, and how it gets on with a new token."""

from http import HTTPStatus

import numpy as np

from app.services.view import HeatLayer, View, ViewLabel
from tests.app.components.viewer_page import ViewerPage
from tests.app.components.viewer_server import Case


def small() -> Case:
    view = View(
        kind="volume",
        shape=(8, 8, 4),
        labels=(ViewLabel(index=1, name="Liver", colour=(0, 200, 0)),),
        heats=(HeatLayer(number=0, label="Liver", method="RISE"),),
        editable=True,
        result_sha256="h" * 64,
    )
    nothing = np.zeros((4, 8, 8), np.uint8)
    return Case(view, np.arange(256, dtype="<i2").reshape(4, 8, 8), nothing, {0: nothing})


def told(shown: ViewerPage) -> str:
    shown.wait("root()?.querySelector('.message')?.textContent")
    return shown.text(".message")


def test_a_lapsed_token_is_asked_for_again_and_loading_goes_on(shown: ViewerPage) -> None:
    case = small()
    shown.hand_over(case, token="lapsed")
    assert told(shown) == "You may not see this case, or your session has lapsed."
    assert shown.events() == [["failed", "You may not see this case, or your session has lapsed."]]
    shown.hand_over(case)
    shown.wait("viewer().ready")
    assert shown.text(".message") == ""
    assert shown.page.evaluate("viewer().voxel(7, 7, 3)") == 255
    case.token = "third"
    shown.press("h")
    shown.wait("events.length === 2")
    shown.hand_over(case)
    shown.press("h")
    shown.wait("viewer().state().heat === 0")


def test_who_has_no_right_is_told_once(shown: ViewerPage) -> None:
    case = small()
    shown.hand_over(case, token="none")
    told(shown)
    asked = len(case.asked)
    shown.hand_over(case, token="none-either")
    shown.wait("events.length === 1")
    shown.settle()
    told(shown)
    assert shown.events() == [["failed", "You may not see this case, or your session has lapsed."]]
    shown.hand_over(case, token="none-either")
    assert len(case.asked) <= 2 * asked


def test_what_is_missing_is_told(shown: ViewerPage) -> None:
    case = small()
    case.heats = {}
    shown.show(case)
    shown.press("h")
    assert told(shown) == "The server does not have this any more."
    assert shown.events() == []


def test_a_result_that_changed_is_not_overwritten(shown: ViewerPage) -> None:
    case = small()
    shown.show(case)
    shown.press("e", "Enter")
    case.view = case.view.model_copy(update={"result_sha256": "other"})
    shown.press("Control+s")
    assert told(shown) == "The result changed."
    assert shown.state()["dirty"]
    assert case.masks == {}


def test_an_error_of_the_server_is_told_in_words(shown: ViewerPage) -> None:
    case = small()
    case.refuses = {"labels": HTTPStatus.INTERNAL_SERVER_ERROR}
    shown.hand_over(case)
    assert told(shown) == "The server answered with the error 500."


def test_a_network_that_is_gone_is_told(shown: ViewerPage) -> None:
    case = small()
    shown.show(case)
    shown.page.route("**/heat/0", lambda route: route.abort())
    shown.press("h")
    assert told(shown) == "The server cannot be reached. Check the network."
    shown.page.unroute("**/heat/0")
    case.heats = {0: np.zeros((4, 8, 8), np.uint8)}
    shown.press("h")
    shown.wait("viewer().state().heat === 0")
