"""Whether tensors are exactly those of a network: by name, by shape, and none that is no number."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from networks.build import build
from networks.checkpoints.imported import CheckpointRefused
from networks.checkpoints.layouts import COUNTER
from networks.configs import NetworkConfig

_NAMED = 3  # of the tensors in question, how many a message names


def state_of(config: NetworkConfig) -> dict[str, Tensor]:
    """Names, shapes and types of a network's tensors, without their numbers."""
    return dict(build(config, device="meta").state_dict())


def difference(tensors: Mapping[str, Tensor], config: NetworkConfig, unknown: Sequence[str] = ()) -> str:
    """Tell how a file's tensors differ from a network's.

    Files of torch before 0.4.1 have no counters of batches; all of them may be absent, or none.

    Args:
        tensors: The file's under our names.
        config: The network.
        unknown: Tensors of the file that have no name of ours.

    Returns:
        In words, how many are missing, left over and of another shape, and the first of each; "" where none is.
    """
    own = state_of(config)
    counted = any(name.endswith(COUNTER) for name in tensors)
    missing = [name for name in own if name not in tensors and (counted or not name.endswith(COUNTER))]
    left_over = [*unknown, *(name for name in tensors if name not in own)]
    reshaped = [
        f"{name} {tuple(tensor.shape)} for {tuple(own[name].shape)}"
        for name, tensor in tensors.items()
        if name in own and tensor.shape != own[name].shape
    ]
    told = (("missing", missing), ("left over", left_over), ("of another shape", reshaped))
    return ", ".join(f"{len(names)} {what} ({_first(names)})" for what, names in told if names)


def check_finite(tensors: Mapping[str, Tensor], name: str) -> None:
    """Refuse weights that are not numbers.

    Raises:
        CheckpointRefused: NaN or infinity, or a type that is no number, in any of them.
    """
    wrong = [key for key, tensor in tensors.items() if not tensor.isfinite().all()]
    wrong += [key for key, t in tensors.items() if not t.is_floating_point() and not key.endswith(COUNTER)]
    if wrong:
        got = f"{name}: {len(wrong)} tensors with NaN, infinity or integers ({_first(wrong)})"
        raise CheckpointRefused("weights that are finite floating-point numbers", got, "import another epoch's file")


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
