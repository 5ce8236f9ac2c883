"""`denselens worker`: one more worker for the queue."""

import os
import signal
import socket
import threading
from types import FrameType
from typing import Annotated

import typer

from app.database_option import DatabaseUrl
from app.services.viewing import Viewing
from app.settings import InstallationSettings
from app.store.database import open_database
from app.worker import Worker

_POLL_S = 2.0


def command(
    database: DatabaseUrl = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    until_empty: Annotated[bool, typer.Option("--until-empty", help="Leave when there is nothing left to do.")] = False,
) -> int:
    """Score what is in the queue, one job after the other, and put the results on the worklist.

    Any number of workers may run, on any machine that reaches the database and the folders. Told to stop (Ctrl-C, or a
    terminate signal) a worker ends the job it has; a worker that is killed leaves its job to the others.
    """
    stop = threading.Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    settings = InstallationSettings.read()
    opened = open_database(database or settings.database)
    try:
        name = f"{socket.gethostname()}:{os.getpid()}"
        worker = Worker(opened, name, device, viewing=Viewing(settings.data))
        begun = worker.work(stop=stop.is_set)
        while not until_empty and not stop.wait(_POLL_S):
            begun += worker.work(stop=stop.is_set)
    finally:
        opened.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    print(f"{begun} jobs begun")
    return 0
