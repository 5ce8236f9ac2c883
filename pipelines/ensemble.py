"""Several networks of one sort that answer together: the folds of a cross-validation."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from torch import Tensor, nn

from datasets.errors import WeightsError
from pipelines.results import ModelId


class Ensemble(nn.Module):
    """Answers with the mean of its members' logits: the geometric mean of their odds, whatever the heads are.

    Args:
        members: In eval mode, alike in what they take and give; at least one.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        total: Tensor = self.members[0](x)
        for member in self.members[1:]:
            total = total + member(x)
        return total / len(self.members)


def member_files(folder: Path) -> tuple[Path, ...]:
    """Weights of the folds in a folder that `denselens train --fold all` made, in their order.

    Raises:
        WeightsError: There are none.
    """
    numbered = {path.parent.name.removeprefix("fold-"): path for path in folder.glob("fold-*/weights.safetensors")}
    found = tuple(numbered[name] for name in sorted((name for name in numbered if name.isdigit()), key=int))
    if not found:
        raise WeightsError(
            "weights of folds, fold-0/weights.safetensors and so on", f"none in {folder}", "check --weights"
        )
    return found


def model_of(models: Sequence[ModelId]) -> ModelId:
    """Which weights an ensemble has: the first one's name, and one hash of all of theirs."""
    if len(models) == 1:
        return models[0]
    together = sha256("\n".join(str(model.weights_sha256) for model in models).encode()).hexdigest()
    named = f"{models[0].name} ({len(models)} folds)"
    return models[0].model_copy(update={"name": named, "weights_sha256": together})
