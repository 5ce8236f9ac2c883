"""From the name of a method to the method."""

from importlib import import_module
from typing import Any

from pydantic import ValidationError

from datasets.errors import ConfigError
from pipelines.explain.method import Method
from pipelines.explain.names import METHODS


def method_class(name: str) -> type[Method]:
    """The class of a method, which is the type of its settings.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in METHODS:
        raise ConfigError(f"a method of explanation: {', '.join(METHODS)}", f'"{name}"', "choose one of them")
    found: type[Method] = import_module(f"pipelines.explain.{name}").METHOD
    return found


def method(name: str, **settings: Any) -> Method:
    """A method, set as told and otherwise by its defaults.

    Raises:
        ConfigError: There is none of that name, or it has not such a setting.
    """
    found = method_class(name)
    try:
        return found(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"settings of {name}", f"{where}: {first['msg']}", "correct or leave out") from error
