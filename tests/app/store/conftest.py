"""The same tests on SQLite and on PostgreSQL."""

import getpass
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from app.store.database import Database, open_database

_VERSIONS = Path("/usr/lib/postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of its own, on a socket alone: the start of URLs of its databases, and the rest of them."""
    programs = max(_VERSIONS.iterdir(), key=lambda path: int(path.name)) / "bin"
    # Its path is short: sockets' names may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    as_root = os.geteuid() == 0
    user = "postgres" if as_root else getpass.getuser()
    # The server refuses to be root.
    before = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if as_root else []
    if as_root:
        shutil.chown(folder, user, user)
    data = str(folder / "data")

    def run(program: str, *arguments: str) -> None:
        subprocess.run([*before, str(programs / program), *arguments], check=True, capture_output=True, cwd=folder)

    run("initdb", "-D", data, "-U", "tester", "--auth=trust", "--no-sync", "--encoding=UTF8")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield str(folder)
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("pg_lsclusters"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store' / 'denselens.sqlite'}"
        return
    folder, name = request.getfixturevalue("postgres"), f"test_{uuid.uuid4().hex}"
    server = create_engine(f"postgresql+psycopg://tester@/postgres?host={folder}", isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield f"postgresql://tester@/{name}?host={folder}"
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = open_database(url)
    yield opened
    opened.close()
