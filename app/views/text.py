"""Text from files and people, as Streamlit's markdown is to show it: as it stands."""

import re

# Everything that markdown, and Streamlit's own additions to it (colours, icons, mathematics), gives a meaning to.
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&@^=\"'/])")


def plain(text: str) -> str:
    """Text whose every character is shown and none is obeyed; lines become one."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
