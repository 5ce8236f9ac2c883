"""Who looks at the page: the one person of this machine, or whoever the house's login says, for as long as it says."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NoReturn

import streamlit as st

from app.access import Person, Role, roles_of
from app.components.files import alarm
from app.services.services import Services
from app.services.wording import NOTICE
from app.store.audit_log import AuditLog
from app.views.text import plain

_NO_ROLE = "Your account has no role here. Ask who runs this installation for one of: reader, researcher, operator."
# Beside the pages' names, above Streamlit's own bar.
_STYLE = """<style>
.st-key-who { position: fixed; top: 0.55rem; right: 4.5rem; z-index: 999991; width: auto; gap: 0.8rem; }
</style>"""
# Clocks of the page have it drawn without anybody being there: by their key, the event that says so.
_CLOCKS = {"worklist-news": "changed", "login-over": "rang"}


@dataclass
class Activity:
    """When people were last here, in this process: a login that rests is over, in all its windows."""

    _last: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def rested(self, login: "LoggedIn", now: float, longest_s: float, *, somebody: bool = True) -> bool:
        """Whether a login rested for too long; if not, and somebody is there, it is active now."""
        with self._lock:
            # One that this process never saw was last active when it began, as far as is known.
            if now - self._last.get(login.key, login.begun) > longest_s:
                return True
            if somebody:
                self._last[login.key] = now
            return False

    def end(self, login: "LoggedIn") -> None:
        """It is over, in all its windows and for whoever has its cookie."""
        with self._lock:
            self._last[login.key] = -math.inf


@dataclass(frozen=True)
class LoggedIn:
    """What the provider said.

    Attributes:
        name: Who; "" where it does not say.
        begun: When, seconds since 1970.
        until: When it ends.
    """

    name: str
    begun: float
    until: float

    @property
    def key(self) -> str:
        """One login of one person."""
        return f"{self.name} {self.begun}"


@cache
def _activity() -> Activity:
    return Activity()


def person_here(services: Services) -> Person:
    """Who is here; where nobody is yet, the page asks for a login and stops."""
    settings = services.settings.login
    if settings is None:
        return Person(services.settings.reader, frozenset(Role))
    if not st.user.is_logged_in:
        _stop("Log in with the account of your house to see cases.", "Log in", st.login)
    claims, now = st.user.to_dict(), time.time()
    login = _login(claims, settings.name_claim)
    idle_s = 60.0 * services.settings.idle_minutes
    # Streamlit's cookie outlives the login it stands for.
    if login is None or login.until <= now or _activity().rested(login, now, idle_s, somebody=not _drawn_by_a_clock()):
        _stop("Your login is over. Log in again.", "Log in", st.login)
    person = Person(login.name, roles_of(claims.get(settings.roles_claim)), login.until)
    allowed = bool(person.name and person.roles)
    if st.session_state.get("login") != login.key:
        st.session_state["login"] = login.key
        done = "login" if allowed else "login_refused"
        AuditLog(services.database).note(person.name, done, "session", {"roles": sorted(person.roles)})
    if not allowed:
        _stop(_NO_ROLE, "Log out", st.logout)
    # Whoever comes by later does not see what was on the screen.
    alarm(min(idle_s, login.until - now) + 0.5, key="login-over")
    _header(services, login)
    return person


def _header(services: Services, login: LoggedIn) -> None:
    st.html(_STYLE)
    with st.container(key="who", horizontal=True, vertical_alignment="center"):
        st.markdown(plain(login.name))
        st.button("Log out", type="tertiary", on_click=partial(_log_out, services, login), key="log_out")


def _log_out(services: Services, login: LoggedIn) -> None:
    _activity().end(login)
    AuditLog(services.database).note(login.name, "logout", "session")
    st.logout()


def _stop(told: str, button: str, does: Callable[[], None]) -> NoReturn:
    st.title("DenseLens")
    st.write(told)
    st.button(button, type="primary", on_click=does)
    st.caption(f"{NOTICE}.")
    st.stop()


def _drawn_by_a_clock() -> bool:
    return any((st.session_state.get(key) or {}).get(event) is not None for key, event in _CLOCKS.items())


def _login(claims: Mapping[str, Any], name_claim: str) -> LoggedIn | None:
    begun, until = (_number(claims.get(name)) for name in ("iat", "exp"))
    if begun is None or until is None:
        return None
    return LoggedIn(str(claims.get(name_claim) or ""), begun, until)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
