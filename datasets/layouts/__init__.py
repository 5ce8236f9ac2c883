"""How public datasets lie on disk: one module per layout, all giving the same `Dataset`.

A module has `recognises(path) -> bool`, which looks at names and small headers only, and `read(path) -> Dataset`. A new
layout is a new module: nothing else is edited.
"""

from importlib import import_module, resources
from pathlib import Path
from typing import Protocol, cast

from datasets.errors import ConfigError
from datasets.example import Dataset


class Layout(Protocol):
    """A module of this folder."""

    def recognises(self, path: Path) -> bool:
        """Whether a folder or file looks like this layout."""

    def read(self, path: Path) -> Dataset:
        """All examples; what cannot become one is told as a defect.

        Raises:
            ConfigError: What describes the set cannot be understood as a whole.
        """


def layout_names() -> tuple[str, ...]:
    """Names of the modules of this folder."""
    entries = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(n.removesuffix(".py") for n in entries if n.endswith(".py") and not n.startswith("_")))


def open_dataset(path: Path, layout: str | None = None) -> Dataset:
    """Read a dataset in whatever layout it lies.

    Args:
        path: A folder or a file.
        layout: Name of a layout; None lets every layout say whether it knows the set.

    Raises:
        ConfigError: There is nothing at the path, no layout knows it, or several do.
    """
    if not path.exists():
        raise ConfigError("a dataset", f"nothing at {path}", "check --data")
    names = layout_names()
    if layout is not None and layout not in names:
        raise ConfigError(f"a layout of {', '.join(names)}", repr(layout), "correct data.layout")
    fitting = [layout] if layout else [name for name in names if _module(name).recognises(path)]
    if len(fitting) != 1:
        got = f"{path} fits {' and '.join(fitting)}" if fitting else f"{path} fits none"
        raise ConfigError(f"a dataset in one of the layouts {', '.join(names)}", got, "set data.layout in the YAML")
    return _module(fitting[0]).read(path)


def _module(name: str) -> Layout:
    return cast(Layout, import_module(f"{__name__}.{name}"))
