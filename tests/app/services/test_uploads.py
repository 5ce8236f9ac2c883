"""Names of uploaded files, and what became of uploads."""

from pathlib import Path

import pytest

from app.services.jobs import ScoreJob, queue_score
from app.services.uploads import UploadRefused, Uploads, safe_name
from app.store.database import open_database
from app.store.queue import Queue


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("film.png", "film.png"),
        ("Study 1/CT/IM 0001", "Study 1/CT/IM 0001"),
        ("C:\\scans\\film.png", "C_/scans/film.png"),
        (".hidden/.bashrc", "hidden/bashrc"),
        ("Müller^Änne.dcm", "Müller_Änne.dcm"),
        ("a\nb\u202e.png", "a_b_.png"),
        ("<script>.png", "_script_.png"),
        ("x" * 300 + ".nii.gz", "x" * 113 + ".nii.gz"),
    ],
)
def test_names_are_made_plain(said: str, kept: str) -> None:
    assert str(safe_name(said)) == kept


@pytest.mark.parametrize(
    "said", ["", ".", "..", "../film.png", "a/../../film.png", "/etc/passwd", "a//b", "a\0b", "..\\x", "a/" * 9 + "b"]
)
def test_names_that_lead_elsewhere(said: str) -> None:
    with pytest.raises(UploadRefused) as refused:
        safe_name(said)
    assert refused.value.code == "bad_name"


def test_jobs_of_uploads_come_first_that_came_last(tmp_path: Path) -> None:
    uploads, database = Uploads(tmp_path, 1000), open_database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    folders = [uploads.accepted / f"{number:032x}" for number in range(3)]
    # Another's job, and a folder whose name only begins as that of uploads.
    elsewhere = (tmp_path / "elsewhere", tmp_path / "uploads-of-others" / "x")
    for folder in (*folders, *elsewhere):
        queue_score(database, ScoreJob(input=folder, task="liver_ct", out=tmp_path / "out" / folder.name))
    queue = Queue(database)
    first = queue.lease("worker", 60.0)
    assert first is not None
    queue.fail(first, "unreadable_file", f"got nothing in {folders[0]}/scan.dcm", again=False)
    found = uploads.jobs(database)
    assert [Path(job.payload["input"]).name for job in found] == [folder.name for folder in reversed(folders)]
    assert [job.status for job in found] == ["queued", "queued", "set_aside"]
    assert found[-1].message == f"got nothing in {folders[0].name}/scan.dcm"
    assert len(uploads.jobs(database, most=2)) == 2
    database.close()
