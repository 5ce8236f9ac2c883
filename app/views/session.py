"""Who looks at the page: the one person of this machine, or whoever the house's login says, for as long as it says."""

import threading
import time
from dataclasses import dataclass, field
from functools import cache

import streamlit as st

from app.access import Person, Role, roles_of
from app.services.services import Services
from app.store.audit_log import AuditLog


@dataclass
class Activity:
    """When people were last here, in this process: a login that rests is over, in all its windows."""

    _last: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def rested(self, login: str, now: float, longest_s: float) -> bool:
        """Whether a login rested for too long; if not, it is here now."""
        with self._lock:
            before = self._last.get(login)
            if before is not None and now - before > longest_s:
                return True
            self._last[login] = now
            return False


@cache
def _activity() -> Activity:
    return Activity()


def person_here(services: Services) -> Person:
    """Who is here; where nobody is yet, the page asks for a login and stops."""
    login = services.settings.login
    if login is None:
        return Person(services.settings.reader, frozenset(Role))
    if not st.user.is_logged_in:
        _ask("Log in with the account of your house to see cases.")
    claims = st.user.to_dict()
    name, until = str(claims.get(login.name_claim) or ""), _number(claims.get("exp"))
    key, now = f"{name} {claims.get('iat')}", time.time()
    # Streamlit's cookie outlives the login it stands for.
    if until is None or until <= now or _activity().rested(key, now, 60.0 * services.settings.idle_minutes):
        _leave("Your login is over. Log in again.")
    person = Person(name, roles_of(claims.get(login.roles_claim)), until)
    if not name or not person.roles:
        _refuse(name)
    if st.session_state.get("login") != key:
        st.session_state["login"] = key
        AuditLog(services.database).note(name, "login", "session", {"roles": sorted(person.roles)})
    return person


def _ask(told: str) -> None:
    st.title("DenseLens")
    st.write(told)
    st.button("Log in", type="primary", on_click=st.login)
    st.stop()


def _leave(told: str) -> None:
    st.title("DenseLens")
    st.write(told)
    st.button("Log in", type="primary", on_click=st.logout)
    st.stop()


def _refuse(name: str) -> None:
    st.title("DenseLens")
    st.write("Your account has no role here. Ask who runs this installation for one of: reader, researcher, operator.")
    if name:
        st.button("Log out", on_click=st.logout)
    st.stop()


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
