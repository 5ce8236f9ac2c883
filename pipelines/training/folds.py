"""Cross-validation: every fold a training of its own, in a folder of its own."""

import json
from dataclasses import replace

from datasets.io.atomic import write_text
from pipelines.ensemble import member_files
from pipelines.train import MANIFEST, WEIGHTS, Request
from pipelines.training.trial import FOLDER, Trial, train_and_look

SUMMARY = "folds.json"


def train_folds(request: Request) -> tuple[Trial, ...]:
    """Train all folds one after the other; those that are done are left alone, one that was broken off goes on.

    Folds are independent: `--fold K` in another process, with the same seed and as many folds, does the same as one of
    these. A limit of time holds for each fold.

    Returns:
        What came of those trained now, in their order.

    Raises:
        ConfigError: As `train`.
    """
    trials = []
    for fold in range(request.folds):
        folder = request.out / f"fold-{fold}"
        if (folder / WEIGHTS).is_file() and (folder / FOLDER).is_dir():
            continue
        begun = (folder / MANIFEST).is_file()
        trials.append(train_and_look(replace(request, out=folder, fold=fold, resume=begun)))
    write_text(request.out / SUMMARY, json.dumps({"weights": [str(path) for path in member_files(request.out)]}) + "\n")
    return tuple(trials)
