"""The guard of the pages: a bug is told by a number, under which the server's log says what happened."""

import logging
import secrets

import streamlit as st

_LOG = logging.getLogger(__name__)


def told(error: Exception) -> bool:
    """Tell somebody that something went wrong, without what it was: that may hold what is a patient's.

    Returns:
        True: Streamlit need not tell it again.
    """
    incident = secrets.token_hex(4)
    _LOG.error("incident %s", incident, exc_info=error)
    st.error(f"Something went wrong that should not have. The server's log tells more under incident {incident}.")
    return True
