"""The networks beside naive peers: forward, training step, an H-DenseUNet volume: `denselens bench networks`.

Per network the time of a forward pass and of a training step and the peak memory of both, beside the naive peer with
the same weights, as ratios in one run: MONAI's DenseNet121, and for the rest a direct transcription of the papers'
layer tables with `torch.cat` (`_peers.py`); for UNet++ also MONAI's BasicUNetPlusPlus, which is another architecture.
Ours is what inference runs (`networks.inference`), in fp32 and, where the processor computes in it, in bf16. Ours in
fp32 must equal the transcription to 1e-4 of its largest value, or the workload fails.

The last part is the published protocol of H-DenseUNet over 512 x 512 x 40 voxels beside the stream (`_hybrid_volume.py`
says where the two differ). The peer alone takes minutes; ours runs before and after it.

Every contestant is a process of its own, and they run in turns. Memory is the highest resident set above the one with
network and input loaded. Needs Linux for exact memory, and about 8 GB at full size.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.commands.bench import describe_machine
from benchmarks import _cases as cases
from benchmarks import _hybrid_volume as hybrid_volume
from benchmarks import _loading as loading
from benchmarks._contest import ContestError, Outcome, contest, serve

TAKES = ("--json", "--quick")

MODULE = "benchmarks.networks"
PARTS = ("forward", "training", "volume")
EQUAL = 1e-4
VOLUME = "h_dense_unet"  # the network that the volume belongs to

Row = dict[str, Any]


def network_rows(name: str, work: str, options: argparse.Namespace) -> list[Row]:
    """One network, forward or training, beside its peers: a row per contestant, the peer first.

    Raises:
        ContestError: A contestant died, or ours in fp32 is not what the peer computes.
    """
    case = cases.CASES[name]
    size = case.size(work, options.quick)
    told = cases.contestants(name, work, options.bf16)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        weights = folder / "weights.safetensors"
        # The scale of the logits needs no more than the quick input.
        cases.scaled_weights(case.config, cases.noise(case.quick, case.spread), weights)
        order = {"case": name, "work": work, "quick": options.quick, "weights": str(weights)}
        orders = {who: order | {"who": who} for who in told}
        outcomes = contest(MODULE, orders, [list(told)] * options.repeats, folder=folder, threads=options.threads)
        rows = _rows(outcomes, told, {"network": name, "title": case.title, "work": work, "input": list(size)})
        if work == "forward":
            _compare(rows, outcomes, case.config.out_channels > 1 and len(size) > 2 and name != "densenet_121")
    return rows


def volume_rows(options: argparse.Namespace) -> list[Row]:
    """The published protocol of H-DenseUNet beside the stream, ours once before and once after it.

    Raises:
        ContestError: A contestant died.
    """
    told = hybrid_volume.contestants(options.bf16)
    ours = [who for who in told if who != cases.PEER]
    plane = 128 if options.quick else 512
    slices = 12 if options.quick and options.slices is None else options.slices or 40
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        order = hybrid_volume.prepare(folder, slices, plane)
        orders = {who: order | {"who": who} for who in told}
        rounds = [ours, [cases.PEER], ours]
        outcomes = contest(MODULE, orders, rounds, folder=folder, threads=options.threads, warm_up=False)
        size = [1, 1, slices, plane, plane]
        rows = _rows(
            outcomes, told, {"network": VOLUME, "title": "H-DenseUNet, a volume", "work": "volume", "input": size}
        )
        for row in rows:
            answer = outcomes[row["contestant"]].answer
            row["equal_labels"] = hybrid_volume.equal_labels(answer, outcomes[cases.PEER].answer)
    return rows


def _rows(outcomes: dict[str, Outcome], told: dict[str, str], shared: Row) -> list[Row]:
    peer = outcomes[cases.PEER]
    return [
        shared
        | {
            "contestant": who,
            "told": told[who],
            "seconds": outcome.median_s,
            "runs": list(outcome.seconds),
            "ratio": peer.median_s / outcome.median_s,
            "peak_mib": outcome.peak_mib,
            "loaded_mib": outcome.loaded_mib,
            "memory_ratio": peer.peak_mib / outcome.peak_mib if outcome.peak_mib else None,
            "error": None,
            "equal_labels": None,
        }
        for who, outcome in outcomes.items()
    ]


def _compare(rows: list[Row], outcomes: dict[str, Outcome], classes: bool) -> None:
    """Largest difference from the peer as a share of the peer's largest value, and the share of equal labels."""
    expected = np.load(outcomes[cases.PEER].answer)
    for row in rows:
        if row["contestant"] in (cases.PEER, cases.MONAI):
            continue
        answer = np.load(outcomes[row["contestant"]].answer)
        row["error"] = float(np.abs(answer - expected).max() / np.abs(expected).max())
        row["equal_labels"] = float((answer.argmax(axis=1) == expected.argmax(axis=1)).mean()) if classes else None
        # Written so that NaN fails too.
        if row["contestant"] == "fp32" and not row["error"] <= EQUAL:
            raise ContestError(
                f"{row['network']}: ours in fp32 differs from its peer by {row['error']:.1e} of its range"
            )


def _show(rows: Sequence[Row]) -> None:
    first = rows[0]
    print(f"\n{first['title']}, {first['work']}, input {' x '.join(map(str, first['input']))}")
    for row in rows:
        memory = f"{row['peak_mib']:8.0f} MiB" + (f"{row['memory_ratio']:6.2f} x" if row["memory_ratio"] else "")
        notes = [] if row["error"] is None else [f"differs by {row['error']:.0e}"]
        notes += [] if row["equal_labels"] is None else [f"equal labels {row['equal_labels']:.3%}"]
        print(f"  {row['seconds'] * 1000:9.0f} ms{row['ratio']:7.2f} x{memory}  {'; '.join([row['told'], *notes])}")
    sys.stdout.flush()


def _run(options: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """All that is asked for: rows, and what failed in words."""
    work = [(name, part) for name in options.only for part in PARTS if part in options.parts]
    rows: list[Row] = []
    failed = []
    for name, part in work:
        if part == "volume" and name != VOLUME:
            continue
        print(f"{name}, {part}", file=sys.stderr, flush=True)
        try:
            found = volume_rows(options) if part == "volume" else network_rows(name, part, options)
        except ContestError as error:
            failed.append(f"{name}, {part}: {error}")
            print(failed[-1], file=sys.stderr, flush=True)
            continue
        rows += found
        if not options.json:
            _show(found)
    return rows, failed


def _options() -> argparse.Namespace:
    machine = describe_machine()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="small images, once each: to see that it works")
    parser.add_argument("--only", nargs="+", choices=sorted(cases.CASES), default=list(cases.CASES), metavar="NETWORK")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--slices", type=int, help="of the volume; 40, or 12 with --quick")
    parser.add_argument("--repeats", type=int, help="runs that count; 3, or 1 with --quick")
    parser.add_argument("--threads", type=int, default=machine["threads"])
    parser.add_argument("--serve", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.machine, options.bf16 = machine, bool(machine["bf16"])
    options.repeats = max(options.repeats or (1 if options.quick else 3), 1)
    return options


def main() -> int:
    """Run what is asked for; 1 where anything failed."""
    options = _options()
    torch.set_num_threads(options.threads)
    if options.serve:
        load = hybrid_volume.contestant if options.serve["work"] == "volume" else loading.contestant
        serve(*load(options.serve))
        return 0
    machine = options.machine
    if not options.json:
        bf16 = "bf16 in hardware" if options.bf16 else "no bf16 in hardware: ours is fp32 alone"
        print(f"{machine['processor']}, {options.threads} threads of {machine['cores']} cores, {bf16}")
        print(f"torch {machine['torch']}, monai {machine['monai']}; load before: {machine['load']}")
    rows, failed = _run(options)
    if options.json:
        shared = {"quick": options.quick, "threads": options.threads, "repeats": options.repeats}
        print(json.dumps(shared | {"rows": rows, "failed": failed}, allow_nan=False))
    elif len(rows) > 1:
        ours = [row["ratio"] for row in rows if row["contestant"] not in (cases.PEER, cases.MONAI)]
        print(f"\nratios: peer / ours; median of all rows of ours {statistics.median(ours):.2f} x")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
