"""Which findings a phantom film has, and how they are planted in its chest.

They are caricatures with the names of ChestX-ray14: each has the sign it is known by, no more.
"""

from collections.abc import Sequence

import numpy as np

from datasets.labels import CHEST_XRAY_14
from datasets.phantoms.film_planted import Planted
from datasets.phantoms.film_shapes import Rng
from datasets.phantoms.film_signs import SIGNS
from datasets.phantoms.film_thorax import Thorax, enlarge_heart, hyperinflate, raise_dome

# Of one patient at once these would hide or contradict each other.
_APART = (
    *({"emphysema", other} for other in ("edema", "atelectasis", "fibrosis", "pneumothorax")),
    *({"edema", other} for other in ("pneumothorax", "infiltration", "pneumonia")),
    {"infiltration", "pneumonia"},
)
_SHARE_HEALTHY, _COUNTS = 0.22, (0.3, 0.35, 0.25, 0.1)


def draw_names(rng: Rng) -> tuple[str, ...]:
    """Draw which findings a patient has: none, or one to four that can be told apart."""
    if rng.random() < _SHARE_HEALTHY:
        return ()
    wanted = 1 + int(rng.choice(len(_COUNTS), p=_COUNTS))
    names: list[str] = []
    for name in rng.permutation(CHEST_XRAY_14):
        if len(names) < wanted and not any({str(name), other} in _APART for other in names):
            names.append(str(name))
    return tuple(name for name in CHEST_XRAY_14 if name in names)


def plant(seed: int, thorax: Thorax, names: Sequence[str]) -> tuple[Thorax, tuple[Planted, ...]]:
    """Plant findings in a chest.

    Args:
        seed: Each finding has a stream of its own, so that others leave it as it is.
        thorax: The chest in health.
        names: Of `CHEST_XRAY_14`.

    Returns:
        The chest as the findings make it, and the findings in the order of `CHEST_XRAY_14`.
    """
    streams = {name: np.random.default_rng((seed, 40 + CHEST_XRAY_14.index(name))) for name in names}
    sides = _sides(np.random.default_rng((seed, 39)), names)
    if "emphysema" in streams:
        thorax = hyperinflate(streams["emphysema"], thorax)
    if "cardiomegaly" in streams:
        thorax = enlarge_heart(streams["cardiomegaly"], thorax)
    if "atelectasis" in streams:
        thorax = raise_dome(thorax, sides["atelectasis"], streams["atelectasis"].uniform(18, 34))
    return thorax, tuple(SIGNS[name](streams[name], thorax, sides[name]) for name in CHEST_XRAY_14 if name in streams)


def _sides(rng: Rng, names: Sequence[str]) -> dict[str, float]:
    """The side of each finding; what needs a lung keeps clear of a collapsed one, a rind clear of fluid."""
    drawn = {name: float(rng.choice((-1.0, 1.0))) for name in CHEST_XRAY_14}
    if "pneumothorax" in names:
        drawn = {name: side if name == "pneumothorax" else -drawn["pneumothorax"] for name, side in drawn.items()}
    elif "effusion" in names:
        drawn["pleural_thickening"] = -drawn["effusion"]
    return drawn
