"""What `score` leaves in a study's folder; names and keys are promised in `docs/interface.md`."""

import hashlib
import json
import re
import time
from pathlib import Path

from datasets.io.atomic import atomic_path, write_text
from datasets.io.dicom_seg import SegDescription, write_dicom_seg
from datasets.io.dicom_sr import write_dicom_sr
from datasets.io.nifti import write_nifti
from pipelines.report import making_of, report_of
from pipelines.results import FlagCode, Result, flag
from pipelines.task import Task

SEGMENTATION = "segmentation.nii.gz"
DICOM_SEG = "segmentation.dcm"
REPORT = "report.dcm"
PROBABILITY = "probability.nii.gz"
RESULT = "result.json"

_LONGEST_NAME = 128
# The run's own files lie beside the studies' folders, and upper and lower case are one on some file systems.
_RUNS_OWN = frozenset({"manifest.json", "results.csv", "journal.jsonl"})


def folder_name(uid: str) -> str:
    """A study's uid as a folder name: whatever it holds, it names one folder inside the output folder.

    Letters, digits, ".", "-" and "_" stay; everything else becomes "_". UIDs come from files that nobody vouches for.
    A name that had to change ends in a hash of the uid, so that different studies never share a folder.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", uid)[:_LONGEST_NAME]
    if name == uid and name.strip(".") == name != "" and name.lower() not in _RUNS_OWN:
        return name
    digest = hashlib.sha256(uid.encode("utf-8", "backslashreplace")).hexdigest()[:12]
    return f"{name.strip('.') or 'study'}-{digest}"


def write_result(result: Result, task: Task, folder: Path) -> Result:
    """Write everything a result consists of; `result.json` last, so that where it stands the rest stands too.

    What an earlier run left in the folder is removed first, `result.json` before the rest.

    Args:
        result: With its arrays.
        task: The task that made it.
        folder: The study's own folder; made when missing.

    Returns:
        The result with `outputs` and the seconds of writing filled in, as it stands in `result.json`.
    """
    start = time.perf_counter()
    _remove_earlier(folder, result)
    outputs: dict[str, str] = {}
    misnamed = _misnamed(result)
    if misnamed:
        # What refers to something else than its source is worse than what is not there.
        message = f"{' and '.join(misnamed)} of the source can name nothing: no DICOM object about it was written"
        told = flag(FlagCode.REPORT_NOT_WRITTEN, "warning", message)
        result = result.model_copy(update={"quality": (*result.quality, told)})
    if result.labels is not None and result.labels.affine is not None:
        write_nifti(result.labels, folder / SEGMENTATION)
        outputs["segmentation"] = SEGMENTATION
        if result.source is not None and not misnamed:
            write_dicom_seg(result.labels, result.source, folder / DICOM_SEG, _describe(result, task))
            outputs["dicom_seg"] = DICOM_SEG
    if result.sources and not misnamed:
        segmentation = folder / DICOM_SEG if "dicom_seg" in outputs else None
        report = report_of(result, task, segmented=segmentation is not None)
        write_dicom_sr(report, result.sources, folder / REPORT, segmentation)
        outputs["report"] = REPORT
    # Without a spacing there is no NIfTI; tasks on pictures hand over a file of their own.
    if result.probabilities is not None and result.probabilities.affine is not None:
        write_nifti(result.probabilities, folder / PROBABILITY)
        outputs["probability"] = PROBABILITY
    for file in result.files:
        with atomic_path(folder / file.name) as temporary:
            file.write(temporary)
        outputs[file.key] = file.name
    seconds = result.seconds | {"write": round(time.perf_counter() - start, 3)}
    written = result.model_copy(update={"outputs": outputs, "seconds": seconds})
    write_text(folder / RESULT, json.dumps(written.document(), indent=2, ensure_ascii=False) + "\n")
    return written


def _remove_earlier(folder: Path, result: Result) -> None:
    """What an earlier run may have left: what its document names, and what stands there when it had no time for one."""
    try:
        told = json.loads((folder / RESULT).read_text(encoding="utf-8"))["outputs"].values()
        # Names, not paths: nobody vouches for a document that lies around.
        named = {name for name in told if isinstance(name, str) and Path(name).name == name}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        named = set()
    (folder / RESULT).unlink(missing_ok=True)
    for name in sorted({SEGMENTATION, DICOM_SEG, REPORT, PROBABILITY} | named | {file.name for file in result.files}):
        (folder / name).unlink(missing_ok=True)


def _misnamed(result: Result) -> tuple[str, ...]:
    sources = (*result.sources, *([] if result.source is None else [result.source]))
    return tuple(dict.fromkeys(keyword for source in sources for keyword in source.misnamed))


def _describe(result: Result, task: Task) -> SegDescription:
    made = making_of(result.model, task)
    return SegDescription(
        label_set=task.label_set,
        algorithm=made.algorithm,
        version=made.version,
        weights_sha256=made.weights_sha256,
        config_digest=made.config_digest,
    )
