"""`denselens bench`: lists workloads, runs them in processes of their own, and says which failed."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.commands import bench
from benchmarks._contest import ContestError, contest

GOOD = '''"""Counts to three: `python -m benchmarks.counting`."""
import os, sys
print("three", sys.argv[1:], os.environ["OMP_WAIT_POLICY"], os.getcwd())
'''
TALKATIVE = '''"""Answers in JSON."""
import json, sys
TAKES = ("--json", "--quick")
print(json.dumps({"rows": [{"seconds": 1.5, "options": sys.argv[1:]}], "threads": 3}))
'''
BAD = '''"""Fails."""
print("halfway", flush=True)
raise SystemExit(7)
'''
CONFUSED = '''"""Says it answers in JSON."""
TAKES = ("--json",)
print("no json")
'''


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of four workloads and a module that is none."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (tmp_path / "pyproject.toml").touch()
    sources = {"counting": GOOD, "talkative": TALKATIVE, "failing": BAD, "confused": CONFUSED, "_inner": "1 / 0"}
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(bench, "BENCHMARKS", folder)
    return tmp_path


def _document(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = main(["bench", "--json", *words])
    document = json.loads(capfd.readouterr().out)
    assert isinstance(document, dict)
    return code, document


def test_without_a_name_workloads_are_listed(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "confused   Says it answers in JSON.",
        "counting   Counts to three: `python -m benchmarks.counting`.",
        "failing    Fails.",
        "talkative  Answers in JSON.",
    ]
    code, told = _document(capfd)
    assert code == 0
    assert told["workloads"][3] == {"name": "talkative", "told": "Answers in JSON.", "takes": ["--json", "--quick"]}


def test_the_workloads_of_this_checkout_are_listed(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 0
    names = [line.split()[0] for line in capfd.readouterr().out.splitlines()]
    assert {"liver_on_real_scans", "liver_pipeline", "networks", "sliding_window"} <= set(names)
    assert names == sorted(file.stem for file in (repository / "benchmarks").glob("[a-z]*.py"))
    assert bench.list_workloads(repository / "benchmarks")["networks"].takes == ("--json", "--quick")


def test_a_workload_runs_from_the_checkout_without_spinning_threads(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "counting"]) == 0
    assert capfd.readouterr().out.splitlines() == ["== counting", f"three [] PASSIVE {checkout}"]


def test_what_follows_two_dashes_goes_to_the_workload(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "counting", "--", "--depth", "9"]) == 0
    assert "three ['--depth', '9']" in capfd.readouterr().out


def test_json_carries_rows_and_texts(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, told = _document(capfd, "--quick", "talkative")
    assert code == 0
    assert told["schema"] == 1
    (workload,) = told["workloads"]
    assert workload.pop("seconds") > 0
    assert workload == {
        "name": "talkative",
        "told": "Answers in JSON.",
        "code": 0,
        "rows": [{"seconds": 1.5, "options": ["--quick", "--json"]}],
        "text": "",
        "threads": 3,
    }
    code, told = _document(capfd, "counting", "talkative")
    assert code == 0
    assert [workload["rows"] == [] for workload in told["workloads"]] == [True, False]
    assert told["workloads"][0]["text"].startswith("three [] PASSIVE")


def test_a_workload_that_fails_does_not_keep_others_from_running(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "failing", "counting"]) == 3
    said = capfd.readouterr()
    assert said.out.splitlines()[:3] == ["== failing", "halfway", "== counting"]
    assert "three" in said.out
    assert said.err.strip() == "denselens: failed: failing"
    code, told = _document(capfd, "failing", "confused", "counting")
    assert code == 3
    assert [(workload["name"], workload["code"]) for workload in told["workloads"]] == [
        ("failing", 7),
        ("confused", 1),
        ("counting", 0),
    ]
    assert told["workloads"][0]["text"] == "halfway\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nonsense"], "nonsense; denselens bench lists"),
        (["_inner"], "_inner; denselens bench lists"),
        (["counting", "nonsense"], "expected workloads out of confused, counting, failing, talkative; got nonsense"),
        (["counting", "talkative", "--", "--depth", "9"], "expected options for a single workload"),
        (["--quick", "counting", "talkative"], "reduced sizes (talkative); got counting"),
    ],
)
def test_wrong_usage_is_refused_before_anything_runs(
    checkout: Path, capfd: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert main(["bench", *words]) == 2
    said = capfd.readouterr()
    assert complaint in said.err
    assert said.out == ""


def test_an_installed_package_has_no_benchmarks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "BENCHMARKS", tmp_path / "benchmarks")
    assert main(["bench"]) == 2
    assert "clone the repository" in capfd.readouterr().err
    # A folder of that name among installed packages is somebody else's.
    (tmp_path / "benchmarks").mkdir()
    assert main(["bench", "networks"]) == 2


def test_the_machine_is_told(
    checkout: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    _, told = _document(capfd)
    machine = told["machine"]
    assert machine["threads"] == 1
    assert machine["cores"] >= 1
    assert machine["processor"]
    assert re.match(r"2\.\d+", machine["torch"])
    assert machine["monai"].startswith("1.")


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="processor flags are read from /proc")
def test_bf16_is_what_the_processor_says() -> None:
    import torch  # noqa: PLC0415 - only this test pays for it

    facts = torch.cpu.get_capabilities()
    assert bench.describe_machine()["bf16"] == any(facts.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


CONTESTANT = """
import sys, time, json
import numpy as np
from pathlib import Path
from benchmarks._contest import serve
order = json.loads(sys.argv[2])
def run():
    with open(order["log"], "a") as log:
        log.write(order["name"] + " ")
    print("noise that is no answer")
    if order["name"] == "dies":
        raise SystemExit(3)
    space = [np.ones(4096) for _ in range(32 * order["mib"])]
    time.sleep(order["sleep"])
    return np.full(3, order["mib"])
# Pieces so small that the C library keeps them when they are freed, and the last one keeps it from giving them back.
loading = [np.ones(4096) for _ in range(3200)]
last = loading[-1]
del loading
serve(run, lambda answer, path: np.save(path, answer))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "contestant_of_a_test.py").write_text(CONTESTANT, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "contestant_of_a_test"


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory from a moment on is told by Linux alone")
def test_contestants_run_in_turns_and_are_measured_apart(module: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    orders = {
        name: {"name": name, "mib": mib, "sleep": sleep, "log": str(log)}
        for name, mib, sleep in (("small", 8, 0.05), ("large", 64, 0.01))
    }
    found = contest(module, orders, [list(orders)] * 3, folder=tmp_path, threads=1)
    assert log.read_text().split() == ["small", "large"] * 4  # the first round warms up
    assert [len(outcome.seconds) for outcome in found.values()] == [3, 3]
    assert found["small"].median_s >= 0.05
    assert found["large"].median_s >= 0.01
    # 100 MiB that came and went while loading do not count.
    assert found["small"].peak_mib == pytest.approx(8, abs=3)
    assert found["large"].peak_mib == pytest.approx(64, abs=3)
    import numpy as np  # noqa: PLC0415 - only this test pays for it

    assert np.load(found["large"].answer).tolist() == [64, 64, 64]


def test_a_contestant_that_dies_is_told(module: str, tmp_path: Path) -> None:
    orders = {"dies": {"name": "dies", "mib": 1, "sleep": 0, "log": str(tmp_path / "log")}}
    with pytest.raises(ContestError, match=r"left with code 3 .*'name': 'dies'"):
        contest(module, orders, [["dies"]], folder=tmp_path, threads=1)


def test_networks_answers_in_json(capfd: pytest.CaptureFixture[str]) -> None:
    code, told = _document(capfd, "--quick", "networks", "--", "--only", "unet", "--parts", "forward", "--threads", "1")
    assert code == 0
    (workload,) = told["workloads"]
    assert (workload["failed"], workload["quick"], workload["threads"], workload["repeats"]) == ([], True, 1, 1)
    rows = {row["contestant"]: row for row in workload["rows"]}
    assert set(rows) == {"peer", "fp32", "bf16"} if told["machine"]["bf16"] else {"peer", "fp32"}
    for row in rows.values():
        assert (row["network"], row["work"], row["input"]) == ("unet", "forward", [1, 1, 64, 64])
        assert row["ratio"] == pytest.approx(rows["peer"]["seconds"] / row["seconds"])
        assert row["peak_mib"] > 0
    assert rows["fp32"]["error"] <= 1e-4


@pytest.mark.slow
def test_every_network_is_measured(capfd: pytest.CaptureFixture[str]) -> None:
    code, told = _document(capfd, "--quick", "networks")
    assert code == 0, told["workloads"][0]["failed"]
    rows = told["workloads"][0]["rows"]
    assert {row["network"] for row in rows} == {
        "densenet_121",
        "dense_unet",
        "dense_unet_3d",
        "h_dense_unet",
        "unet_plus_plus",
        "unet",
    }
    assert {row["work"] for row in rows} == {"forward", "training", "volume"}
    shares = [row["equal_labels"] for row in rows if row["work"] == "volume" and row["contestant"] != "peer"]
    assert min(shares) > 0.9
