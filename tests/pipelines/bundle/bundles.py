"""Bundles in a test's process: their `scripts` are one package, of which a process can hold but one bundle's."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai.bundle.config_parser import ConfigParser


@contextmanager
def opened(bundle: Path, **changes: Any) -> Iterator[ConfigParser]:
    """A bundle's inference as MONAI parses it, nothing of another bundle in the way."""
    before, path = {name for name in sys.modules if name.split(".")[0] == "scripts"}, list(sys.path)
    for name in before:
        del sys.modules[name]
    sys.path.insert(0, str(bundle))
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser.read_meta(str(bundle / "configs" / "metadata.json"))
    parser.update({"bundle_root": str(bundle), "device": "$torch.device('cpu')", **changes})
    try:
        yield parser
    finally:
        sys.path[:] = path
        for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
            del sys.modules[name]
