"""`denselens audit-log`: is the log of decisions whole."""

import json
from typing import Annotated

import typer

from app.database_option import DatabaseUrl
from app.settings import InstallationSettings
from app.store.audit_log import AuditLog
from app.store.database import open_database

SCHEMA = 1
_OK, _FAULTS_FOUND = 0, 3


def verify(
    database: DatabaseUrl = None,
    head: Annotated[
        str | None, typer.Option(metavar="SHA256", help="Hash of a line as this command told it before: is it there?")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> int:
    """See whether every line of the log, and every review it tells of, is as it was written.

    A changed, removed, added or exchanged line breaks the chain of hashes and is named. Who owns the database could
    make a whole new chain: keep the hash that is told here elsewhere, and give it to --head the next time.

    The exit code is 0 when the log is whole and 3 when it is not.
    """
    opened = open_database(database or InstallationSettings.read().database)
    try:
        log = AuditLog(opened)
        faults = [(fault.number, fault.found) for fault in log.faults()]
        if head is not None and not log.holds(head):
            faults.append((0, "the line that --head names is not in it"))
        lines, sha256 = log.head()
    finally:
        opened.close()
    if as_json:
        told = [{"line": number or None, "found": found} for number, found in faults]
        print(json.dumps({"schema": SCHEMA, "whole": not faults, "lines": lines, "head": sha256, "faults": told}))
    else:
        for number, found in faults:
            print(f"line {number}: {found}" if number else found)
        print(f"{'not whole' if faults else 'whole'}: {lines} lines, the last one {sha256 or 'none'}")
    return _FAULTS_FOUND if faults else _OK


VERBS = {"verify": verify}
