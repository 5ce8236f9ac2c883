"""`denselens review`: the review app in the browser, with a worker beside it."""

import os
import subprocess
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from app.database_option import DatabaseUrl
from app.services.intake import take_in
from app.services.jobs import queue_view
from app.settings import DATABASE, InstallationSettings
from app.store.database import open_database
from datasets.errors import ConfigError, InputRefused
from pipelines.outputs import RESULT

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_STOP_S = 20.0


def command(
    results: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RESULTS", help="Folders that score wrote; none: the worklist as it is."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the page.")] = 8501,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than this machine's own needs a login.")
    ] = "127.0.0.1",
    database: DatabaseUrl = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that score what is uploaded.")] = 1,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")] = False,
) -> int:
    """Open the review app: the worklist, the images, what the network said and why, and your decisions.

    What the given folders hold is put on the worklist first, the same result once. The page is there for this machine
    alone unless --host says otherwise; then people have to log in (DENSELENS_OIDC_…).
    """
    settings = InstallationSettings.read()
    if host not in _LOCAL and settings.login is None:
        raise ConfigError(
            "a login, where others than this machine can reach the page",
            f"--host {host} without one",
            "set DENSELENS_OIDC_CLIENT_ID and the others (docs/review.md), or leave --host out",
        )
    url = database or settings.database
    # Pages and workers are other processes: the environment is how they know.
    os.environ[DATABASE] = url
    taken, refused = _take_in(url, results or [])
    for told in refused:
        print(told, file=sys.stderr)
    if results:
        print(f"{taken} cases on the worklist from {len(results)} folders")
    address = f"http://{host}:{port}"
    with _workers(workers):
        print(f"DenseLens is at {address} (Ctrl-C ends it). Research use only, not a medical device.", flush=True)
        if not no_browser:
            webbrowser.open(address)
        uvicorn.run("app.asgi:application", host=host, port=port, log_level="warning", access_log=False)
    return 0


def _take_in(url: str, folders: Sequence[Path]) -> tuple[int, list[str]]:
    database, taken, refused = open_database(url), 0, []
    try:
        for folder in folders:
            found = [study for study in (folder, *sorted(folder.glob("*"))) if (study / RESULT).is_file()]
            if not found:
                raise ConfigError(
                    "a folder that score wrote", f"no result.json in {folder}", "name the folder of --out"
                )
            for study in found:
                try:
                    case = take_in(database, study, "review")
                    taken += 1
                    if not case.error:
                        queue_view(database, case)
                except InputRefused as refusal:
                    refused.append(f"{study}: {refusal.message}")
    finally:
        database.close()
    return taken, refused


@contextmanager
def _workers(count: int) -> Iterator[None]:
    """Workers that end with the page; each ends the job it has."""
    command = [sys.executable, "-c", "from app.cli import main; raise SystemExit(main())", "worker"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} if count > 1 else dict(os.environ)
    started = [subprocess.Popen(command, env=environment) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
