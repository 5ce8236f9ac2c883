"""Logging in at a provider of OpenID Connect, in a real browser: who is let in, and for how long."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from playwright.sync_api import Error as PlaywrightError

from app.store.audit_log import AuditLog
from tests.app.browser.installation import Installation, free_port, started
from tests.app.planted import plant_film

pytestmark = pytest.mark.needs("chromium")

IDLE_S = 12.0
STUDY = "film-3"
PEOPLE: tuple[dict[str, object], ...] = (
    {"sub": "rita", "roles": ["reader"]},
    {"sub": "otto", "roles": "operator, researcher"},
    {"sub": "nora", "roles": ["gardener"]},
    {"sub": "paul"},
)


@contextmanager
def provider() -> Iterator[str]:
    """One that runs beside the tests; gives its address."""
    port = free_port()
    # A provider that is late: what it says is over when it arrives, by less than clocks may differ (two minutes).
    late: dict[str, object] = {"sub": "late", "roles": ["reader"], "exp": int(time.time())}
    people = [word for one in (*PEOPLE, late) for word in ("--user-claims", json.dumps(one))]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), *people]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    root: Path = tmp_path_factory.mktemp("login")
    plant_film(root)
    port = free_port()
    with provider() as address:
        said = {
            "CLIENT_ID": "denselens",
            "CLIENT_SECRET": "not a secret",
            "METADATA_URL": f"{address}/.well-known/openid-configuration",
            "REDIRECT_URI": f"http://127.0.0.1:{port}/oauth2callback",
        }
        environment = {f"DENSELENS_OIDC_{name}": value for name, value in said.items()}
        running = started(root, [root / "results"], port=port, DENSELENS_IDLE_MINUTES=str(IDLE_S / 60.0), **environment)
        yield running
        running.stop()


@pytest.fixture
def person(browser: Browser, house: Installation) -> Iterator[BrowserContext]:
    """A browser that never was here."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


def opened(person: BrowserContext, house: Installation) -> Page:
    page = person.new_page()
    page.goto(house.url)
    return page


def log_in(page: Page, who: str) -> None:
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name=who, exact=True).click()


def come_again(page: Page, house: Installation) -> None:
    """Type the address anew, also where the page is just on its way to another."""
    for _ in range(10):
        page.wait_for_timeout(1000)
        try:
            page.goto(house.url)
            return
        except PlaywrightError:
            continue
    raise AssertionError("the page never came")


def assert_out(page: Page) -> None:
    expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=20_000)
    assert_nothing_shown(page)


def assert_nothing_shown(page: Page) -> None:
    # What stood there before is taken away when the page has been drawn anew.
    shown = page.locator("canvas, iframe, [data-testid=stDataFrame], .denselens-viewer")
    expect(shown).to_have_count(0, timeout=20_000)
    assert STUDY not in page.content()
    assert "effusion" not in page.content()


def lines(house: Installation, who: str) -> list[str]:
    database = house.database()
    found = [entry.action for entry in AuditLog(database).entries() if entry.who == who]
    database.close()
    return found


def test_a_reader_comes_in_and_leaves(person: BrowserContext, house: Installation) -> None:
    page = opened(person, house)
    expect(page.get_by_text("Log in with the account of your house")).to_be_visible(timeout=20_000)
    assert_out(page)
    log_in(page, "rita")
    expect(page.locator("[data-testid=stDataFrame]")).to_be_visible(timeout=20_000)
    expect(page.locator(".st-key-who")).to_contain_text("rita")
    assert lines(house, "rita") == ["login"]
    other = opened(person, house)
    expect(other.locator(".st-key-who")).to_contain_text("rita", timeout=20_000)
    cookies = person.cookies()
    page.get_by_role("button", name="Log out").click()
    come_again(page, house)
    assert_out(page)
    assert lines(house, "rita")[-1] == "logout"
    # Not in another window either, nor with the cookie that somebody kept.
    other.get_by_role("textbox", name="Search").fill("film")
    other.get_by_role("textbox", name="Search").press("Enter")
    assert_out(other)
    person.add_cookies(cookies)
    again = opened(person, house)
    expect(again.get_by_text("Your login is over")).to_be_visible(timeout=20_000)
    assert_out(again)


def test_an_operator_sees_no_case(person: BrowserContext, house: Installation) -> None:
    page = opened(person, house)
    log_in(page, "otto")
    expect(page.locator("[data-testid=stDataFrame]")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("link", name="Worklist")).to_be_visible()


@pytest.mark.parametrize("who", ["nora", "paul"])
def test_who_has_no_role_is_told_so(person: BrowserContext, house: Installation, who: str) -> None:
    page = opened(person, house)
    log_in(page, who)
    expect(page.get_by_text("Your account has no role here")).to_be_visible(timeout=20_000)
    assert_nothing_shown(page)
    assert lines(house, who) == ["login_refused"]
    page.goto(f"{house.url}/case")
    expect(page.get_by_text("Your account has no role here")).to_be_visible(timeout=20_000)
    assert_nothing_shown(page)


def test_a_login_that_is_over(person: BrowserContext, house: Installation) -> None:
    page = opened(person, house)
    log_in(page, "late")
    expect(page.get_by_text("Your login is over")).to_be_visible(timeout=20_000)
    assert_out(page)
    assert lines(house, "late") == []


def test_who_rests_is_logged_out(person: BrowserContext, house: Installation) -> None:
    page = opened(person, house)
    log_in(page, "rita")
    table = page.locator("[data-testid=stDataFrame]")
    expect(table).to_be_visible(timeout=20_000)
    # Nobody touches it, and the screen is cleared by itself.
    expect(page.get_by_text("Your login is over")).to_be_visible(timeout=round(1000 * IDLE_S + 10_000))
    assert_out(page)
    page.reload()
    expect(page.get_by_text("Your login is over")).to_be_visible(timeout=20_000)
    assert_out(page)
    log_in(page, "rita")
    expect(table).to_be_visible(timeout=20_000)
