"""What a dataset's description says: JSON that is not trusted, paths that stay inside, names of labels and channels."""

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from datasets.errors import ConfigError

DESCRIPTION = "dataset.json"
_LARGEST_BYTES = 2**28
_DIGITS = re.compile(r"[0-9]{1,9}")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        ConfigError: It cannot be read or is no JSON.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ConfigError("a description of a dataset", f"{path.stat().st_size} bytes in {path}", "check the file")
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError("JSON that can be read", f"{error} in {path}", "correct the file, a comma perhaps") from error


def description_of(folder: Path) -> Mapping[str, Any] | None:
    """The content of `dataset.json`; None where there is none, or no object in it, or it cannot be read."""
    path = folder / DESCRIPTION
    if not path.is_file():
        return None
    try:
        found = read_json(path)
    except ConfigError:
        return None
    return found if isinstance(found, dict) else None


def is_nnunet(description: Mapping[str, Any]) -> bool:
    """Whether a description is that of nnU-Net's version 2, which has keys no other has."""
    return "channel_names" in description or "file_ending" in description


def inside(root: Path, text: str) -> Path | None:
    """The file in a folder that a description means; None where it leads out of the folder.

    What is looked at is the text alone. A symbolic link that stands in the folder was put there by whoever made the
    folder and is followed, as everywhere in this project: many keep large files elsewhere and link to them.
    """
    path = PurePosixPath(text.replace("\\", "/"))
    depth = 0
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return None
    # A drive, or a slash of either kind at the start.
    if not text or "\0" in text or PureWindowsPath(text).anchor:
        return None
    return root.joinpath(*path.parts)


def label_names(raw: object, path: Path) -> dict[int, str]:
    """Value to name from {"0": "background", "1": "liver"} or {"background": 0, "liver": 1}; 0 is left out.

    Raises:
        ConfigError: It is neither, or one value has two names.
    """
    if not isinstance(raw, dict) or not raw:
        raise _no_labels(f"{raw!r:.80}", path)
    names: dict[int, str] = {}
    for key, told in raw.items():
        value, name = (told, key) if not isinstance(told, str) else (key, told)
        number = whole(value)
        if number is None or number < 0:
            raise _no_labels(f"{key!r:.60}: {told!r:.60}", path)
        if number in names:
            raise _no_labels(f"two names of value {number}, {names[number]!r:.60} and {name!r:.60}", path)
        names[number] = str(name)
    names.pop(0, None)
    return dict(sorted(names.items()))


def channel_names(raw: object, path: Path) -> tuple[str, ...]:
    """Names of channels in order from {"0": "CT"}, ["CT"] or "CT"; none from nothing.

    Raises:
        ConfigError: They are not counted 0, 1, 2 ….
    """
    if raw is None:
        return ()
    if isinstance(raw, str):
        return (raw,)
    if isinstance(raw, list):
        return tuple(str(name) for name in raw)
    numbers = {whole(key): str(name) for key, name in raw.items()} if isinstance(raw, dict) else {}
    if not numbers or set(numbers) != set(range(len(numbers))):
        raise ConfigError(
            'channels counted from 0, {"0": "CT"}', f"{raw!r:.80} in {path}", "correct channel_names or modality"
        )
    return tuple(numbers[number] for number in range(len(numbers)))


def whole(value: object) -> int | None:
    """A whole number, also one written as digits or with a fraction of zero; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if _DIGITS.fullmatch(value.strip()) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) else None


def _no_labels(got: str, path: Path) -> ConfigError:
    return ConfigError(
        'labels such as {"0": "background", "1": "liver"} or {"background": 0, "liver": 1}',
        f"{got} in {path}",
        "correct the labels",
    )
