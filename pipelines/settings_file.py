"""Settings in YAML files: read, built upon another file's, and changed from the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from datasets.errors import ConfigError

EXTENDS = "extends"


def read_settings(path: Path, find: Callable[[str], Path], below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The settings of a file, laid over those of the file it names under `extends`, if it names one.

    A block of keys is laid over key by key, unless it has another `name` (another network, say): then it replaces.

    Args:
        path: The file.
        find: From a name to the file of that name.
        below: The files that extend this one.

    Raises:
        ConfigError: A file is no YAML mapping, or files extend one another in a circle.
    """
    settings = read_yaml(path)
    base = settings.pop(EXTENDS, None)
    if base is None:
        return settings
    parent = find(str(base))
    if parent.resolve() in {file.resolve() for file in (path, *below)}:
        raise ConfigError(f"{EXTENDS} to end somewhere", f"{path.name} extends itself", f"correct {EXTENDS}")
    return _laid_over(read_settings(parent, find, (path, *below)), settings)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping.

    Raises:
        ConfigError: It cannot be read, or is no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError("a readable YAML file", f"{path}: {error}".replace("\n", " "), "correct the file") from error
    if not isinstance(content, dict):
        raise ConfigError("a YAML mapping of settings", f"{type(content).__name__} in {path}", "correct the file")
    return content


def merge(settings: dict[str, Any], override: str) -> None:
    """Change settings in place by `key.subkey=value`; the value is read as YAML.

    Raises:
        ConfigError: It is not of that form, or the key leads through something that is no block of keys.
    """
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError("--set key=value", repr(override), "write for example --set output.probability=true")
    *parents, last = key.split(".")
    place = settings
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise ConfigError(f"{parent} in {key} to hold further keys", repr(place), "check the key against the YAML")
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"a YAML value for {key}", text, "quote the value") from error


def _laid_over(base: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in above.items():
        under = base.get(key)
        merged[key] = value
        if isinstance(under, dict) and isinstance(value, dict):
            same = value.get("name", under.get("name")) == under.get("name")
            merged[key] = _laid_over(under, value) if same else value
    return merged
