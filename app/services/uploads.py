"""Files that people bring: kept apart until they were looked at, scored when somebody wants it, deleted otherwise.

arriving/<upload>/   what came so far; a file has its name when it is whole
uploads/<upload>/    what was accepted, and is scored from there
results/<upload>/    what was said of it
"""

import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from app.services.inspection import Inspection, inspect
from app.services.jobs import SCORE, ScoreJob, queue_score
from app.store.audit_log import AuditLog
from app.store.database import Database
from app.store.queue import Queue
from app.store.records import Job
from datasets.io.atomic import write_text

_REPORT = ".inspection.json"
_PARTIAL = ".partial-"
_STALE_S = 86_400.0
# A study of two thousand slices in ten series, and room.
_MOST_FILES = 50_000
_MOST_DEPTH, _LONGEST_PART = 8, 120
_UPLOAD = re.compile(r"[0-9a-f]{32}")
_ODD = re.compile(r"[^\w .()+-]")


class UploadRefused(Exception):
    """Something cannot be taken.

    Attributes:
        code: "too_large", "too_many_files", "bad_name", "name_taken" or "no_such_upload".
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class _Tally:
    size_bytes: int = 0
    files: int = 0


@dataclass
class Incoming:
    """A file that is arriving."""

    uploads: "Uploads"
    upload: str
    path: Path
    size_bytes: int = 0

    def write(self, piece: bytes) -> None:
        """Take some more of it.

        Raises:
            UploadRefused: `too_large`; `no_such_upload`: it was deleted meanwhile.
        """
        self.uploads.reserve(self.upload, len(piece))
        self.size_bytes += len(piece)
        try:
            with self.path.open("ab") as file:
                file.write(piece)
        except FileNotFoundError as error:
            raise UploadRefused("no_such_upload", "the upload was cancelled") from error


@dataclass(frozen=True)
class Uploads:
    """The uploads of an installation.

    Attributes:
        folder: Of its own.
        most_bytes: Of one upload.
    """

    folder: Path
    most_bytes: int
    _tallies: dict[str, _Tally] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    # Of all that is done here looking takes the most memory.
    _looking: threading.Lock = field(default_factory=threading.Lock)

    @property
    def accepted(self) -> Path:
        """Where what was accepted lies."""
        return self.folder / "uploads"

    def begin(self) -> str:
        """The id of a new upload; what was begun a day ago and came to nothing is deleted."""
        for old in self._arriving.glob("*"):
            with suppress(FileNotFoundError):
                if time.time() - old.stat().st_mtime > _STALE_S:
                    self.discard(old.name)
        return secrets.token_hex(16)

    @contextmanager
    def receiving(self, upload: str, name: str) -> Iterator[Incoming]:
        """Take a file: it stands under its name when the block has ended well, and otherwise nowhere.

        Args:
            upload: Its id.
            name: As the sender calls it, folders before it; made fit for a file system.

        Raises:
            UploadRefused: All codes.
        """
        folder = self._of(upload)
        final = folder / safe_name(name)
        if (self.accepted / upload).exists():
            raise UploadRefused("no_such_upload", "the upload is complete")
        folder.mkdir(parents=True, exist_ok=True)
        self.reserve(upload, 0, files=1)
        (folder / _REPORT).unlink(missing_ok=True)
        incoming = Incoming(self, upload, folder / f"{_PARTIAL}{secrets.token_hex(8)}")
        incoming.path.touch(mode=0o600, exist_ok=False)
        try:
            yield incoming
            _put(incoming.path, final)
        except BaseException:
            self.reserve(upload, -incoming.size_bytes, files=-1)
            raise
        finally:
            incoming.path.unlink(missing_ok=True)
            with suppress(OSError):
                # Where nothing else came.
                folder.rmdir()

    def reserve(self, upload: str, size_bytes: int, files: int = 0) -> None:
        """Count what comes, before it is written; less than nothing gives it back.

        Raises:
            UploadRefused: `too_large`, `too_many_files`.
        """
        with self._lock:
            tally = self._tallies.setdefault(upload, _Tally())
            if tally == _Tally():
                # Another process may have taken what is there.
                there = _files(self._of(upload))
                tally.files, tally.size_bytes = len(there), sum(path.stat().st_size for path in there)
            if size_bytes > 0 and tally.size_bytes + size_bytes > self.most_bytes:
                raise UploadRefused("too_large", f"an upload holds at most {self.most_bytes / 1e6:.0f} MB")
            if files > 0 and tally.files + files > _MOST_FILES:
                raise UploadRefused("too_many_files", f"an upload holds at most {_MOST_FILES} files")
            tally.size_bytes += size_bytes
            tally.files += files

    def inspect(self, upload: str) -> Inspection:
        """Look at what came, and keep what was seen; what no task can use is deleted.

        Raises:
            UploadRefused: `no_such_upload`: nothing came.
        """
        folder = self._of(upload)
        files = _files(folder)
        if not files:
            raise UploadRefused("no_such_upload", "nothing was sent")
        with self._looking:
            found = inspect(folder, len(files), sum(path.stat().st_size for path in files))
        if not folder.exists():
            raise UploadRefused("no_such_upload", "the upload was cancelled")
        if not found.usable:
            self.discard(upload)
            folder.mkdir(parents=True)
        write_text(folder / _REPORT, found.model_dump_json() + "\n")
        return found

    def inspected(self, upload: str) -> Inspection | None:
        """What was seen; None where nobody has looked since the last file came."""
        try:
            return Inspection.model_validate_json((self._of(upload) / _REPORT).read_bytes())
        except (OSError, ValidationError):
            return None

    def accept(self, database: Database, upload: str, task: str, who: str) -> Job:
        """Have an upload scored; the log tells who brought how much.

        Args:
            database: Open.
            upload: Inspected.
            task: That would score something of it.
            who: Wants it.

        Raises:
            UploadRefused: `no_such_upload`: nobody has looked at it, or the task would score nothing of it.
        """
        found, target = self.inspected(upload), self.accepted / upload
        if found is None or not found.fit_for(task):
            raise UploadRefused("no_such_upload", "there is nothing that this task would score")
        (self._of(upload) / _REPORT).unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._of(upload).rename(target)
        self._tallies.pop(upload, None)
        detail = {"task": task, "files": found.files, "bytes": found.size_bytes, "studies": len(found.studies)}
        AuditLog(database).note(who, "upload", f"upload:{upload}", detail)
        return queue_score(database, ScoreJob(input=target, task=task, out=self.folder / "results" / upload))

    def discard(self, upload: str) -> None:
        """Delete what came and was not accepted; nothing where there is nothing."""
        shutil.rmtree(self._of(upload), ignore_errors=True)
        with self._lock:
            self._tallies.pop(upload, None)

    def jobs(self, database: Database, most: int = 20) -> list[Job]:
        """Jobs of what was accepted, the latest first; their messages name no folder of the installation."""
        own = f"{self.accepted.resolve()}{os.sep}"
        found = [job for job in Queue(database).latest(SCORE, 10 * most) if str(job.payload["input"]).startswith(own)]
        return [job.model_copy(update={"message": job.message.replace(own, "")}) for job in found[:most]]

    @property
    def _arriving(self) -> Path:
        return self.folder / "arriving"

    def _of(self, upload: str) -> Path:
        if _UPLOAD.fullmatch(upload) is None:
            raise UploadRefused("no_such_upload", "there is no such upload")
        return self._arriving / upload


def safe_name(name: str) -> PurePosixPath:
    """A path below the upload's folder, made of plain characters; no part of it is hidden.

    Raises:
        UploadRefused: `bad_name`: it leads elsewhere, or nowhere.
    """
    parts = name.replace("\\", "/").split("/")
    if not 0 < len(parts) <= _MOST_DEPTH or "\0" in name or any(part.strip(" .") == "" for part in parts):
        raise UploadRefused("bad_name", "expected the name of a file, with the folders that it lies in")
    # What tells the kind of a file stands at its end.
    return PurePosixPath(*(_ODD.sub("_", part)[-_LONGEST_PART:].strip(" ").lstrip(".") or "_" for part in parts))


def _put(path: Path, final: Path) -> None:
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        # Unlike a renaming this never replaces what is there.
        final.hardlink_to(path)
    except (FileExistsError, NotADirectoryError) as error:
        raise UploadRefused("name_taken", "a file of that name was sent already") from error
    except FileNotFoundError as error:
        raise UploadRefused("no_such_upload", "the upload was cancelled") from error


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
