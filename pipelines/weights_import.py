"""Published checkpoints into weights files with a card."""

from dataclasses import dataclass
from pathlib import Path

from datasets.errors import WeightsError
from networks.checkpoints.imported import CheckpointRefused, Imported
from networks.checkpoints.importing import import_checkpoint
from networks.checkpoints.targets import Wishes
from pipelines.model_store import Card, file_sha256, save_tensors

_ENDING = ".safetensors"
_LIMITS = "imported; nothing here has checked it on any image; research use only, not for patients"


@dataclass(frozen=True)
class ImportedWeights:
    """An import, written.

    Attributes:
        imported: What came of the file.
        card: What is known about it.
        path: The weights; the card lies beside it, ending in `.json`.
    """

    imported: Imported
    card: Card
    path: Path


@dataclass(frozen=True)
class Destination:
    """Where an import is written.

    Attributes:
        path: A .safetensors file; None for the network's name in the current folder.
        force: Whether files that stand there may be replaced.
    """

    path: Path | None = None
    force: bool = False


def import_weights(
    source: Path, network: str, wishes: Wishes | None = None, destination: Destination | None = None
) -> ImportedWeights:
    """Import a published file and write it as weights that every door loads.

    Args:
        source: The published file.
        network: What the result is, a key of `networks.checkpoints.targets.TARGETS`.
        wishes: What to make otherwise than the file has it.
        destination: Where to write.

    Raises:
        WeightsError: The file is refused, or the place to write to is taken or cannot be written to; then nothing is
            written.
    """
    wanted = destination or Destination()
    out = wanted.path or Path(f"{network}{_ENDING}")
    _check_free(out, source, wanted)
    try:
        imported = import_checkpoint(source, network, wishes)
    except CheckpointRefused as refusal:
        raise WeightsError(refusal.expected, refusal.got, refusal.advice) from refusal
    card = Card(
        name=out.stem,
        task="",
        trained_on=imported.trained_on,
        limits=_LIMITS,
        phantom=False,
        source=source.name,
        source_sha256=file_sha256(source),
        layout=imported.layout,
        drawn_anew=imported.counts()["drawn anew"],
        labels=imported.labels,
        operating_points=dict(imported.operating_points),
        input=imported.input,
        notes=imported.notes,
    )
    try:
        save_tensors(imported.tensors, imported.config, card, out)
    except OSError as error:
        raise WeightsError(
            "a folder that can be written to", f"{out}: {error.strerror or error}", "choose another --out"
        ) from error
    return ImportedWeights(imported, card, out)


def _check_free(out: Path, source: Path, wanted: Destination) -> None:
    if out.suffix != _ENDING:
        raise WeightsError(f"--out with the ending {_ENDING}", str(out), "name the file so")
    for path in (out, out.with_suffix(".json")):
        if path.exists() and source.exists() and path.samefile(source):
            raise WeightsError("another file than the one imported", str(path), "choose another --out")
        if path.exists() and not wanted.force:
            raise WeightsError(
                "a new file", f"{path}, which exists", "choose another --out, or replace it with --force"
            )
