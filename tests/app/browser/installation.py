"""The review app as a person starts it: a process of its own, a folder of its own, planted cases."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.access import Tokens
from app.services.viewing import Viewing
from app.settings import InstallationSettings
from app.store.database import Database, open_database

COMMAND = (sys.executable, "-c", "from app.cli import main; raise SystemExit(main())", "review")
_STARTS_S = 60.0


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@dataclass
class Installation:
    """A running review app.

    Attributes:
        root: Its folder.
        url: Where it is.
        process: That serves pages.
    """

    root: Path
    url: str
    process: "subprocess.Popen[bytes]"

    @property
    def settings(self) -> InstallationSettings:
        return InstallationSettings.read({"DENSELENS_DATA": str(self.root / "own")})

    def database(self) -> Database:
        return open_database(self.settings.database)

    def viewing(self) -> Viewing:
        return Viewing(self.settings.data)

    def tokens(self) -> Tokens:
        return Tokens(self.settings.secret())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def started(
    root: Path, results: Sequence[Path] = (), *, workers: int = 0, port: int = 0, **environment: str
) -> Installation:
    """Start it, at a port of one's choice or a free one, and wait until it answers."""
    port = port or free_port()
    said = {"DENSELENS_DATA": str(root / "own"), "DENSELENS_READER": "anna", "OMP_NUM_THREADS": "1"} | environment
    arguments = [*map(str, results), "--port", str(port), "--workers", str(workers), "--no-browser"]
    log = (root / "log.txt").open("ab")
    process = subprocess.Popen([*COMMAND, *arguments], env=os.environ | said, stdout=log, stderr=log)
    log.close()
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + _STARTS_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/api/health", timeout=5):
                return Installation(root, url, process)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    process.kill()
    raise AssertionError((root / "log.txt").read_text())
