"""What a training makes small, for networks that label voxels and for classifiers, one head or several."""

from collections.abc import Sequence

import torch
from monai.losses.cldice import SoftclDiceLoss
from torch import Tensor
from torch.nn import functional

from pipelines.classification import AnyHead, ClassesHead, FindingsHead
from pipelines.training_settings import LossSettings

# A voxel of which nothing is known.
UNKNOWN = 255
# Added to both sides of a Dice: an empty mask that is found empty has one of 1.
_SMOOTH = 1e-5
# 1 - clDice: how far each one's centre line lies in the other; half as many steps as the thickest thing has voxels.
_CENTER_LINE = SoftclDiceLoss(iter_=10)


def voxel_loss(answers: Tensor | Sequence[Tensor], classes: Tensor, settings: LossSettings) -> Tensor:
    """Loss of logits for voxels.

    Args:
        answers: Logits (N, classes, *size) of the head there is, or of several; (N, 1, *size) are of a sigmoid.
        classes: (N, *size) integers; 255 is unknown and counts in no term.
        settings: Terms and weights.

    Returns:
        A scalar: the weighted mean over heads, the last head first in weight where they differ.
    """
    heads = [answers] if isinstance(answers, Tensor) else list(answers)
    values = [_one_head(logits, classes, settings) for logits in heads]
    return combined(values, settings)


def combined(values: Sequence[Tensor], settings: LossSettings) -> Tensor:
    """The losses of heads as one: all alike, or each half as much as the next finer one."""
    weights = [1.0 if settings.heads == "equal" else 0.5 ** (len(values) - 1 - n) for n in range(len(values))]
    total = torch.stack([weight * value for weight, value in zip(weights, values, strict=True)]).sum()
    return total / sum(weights)


def _one_head(logits: Tensor, classes: Tensor, settings: LossSettings) -> Tensor:
    known = classes != UNKNOWN
    total = logits.new_zeros(())
    if settings.entropy:
        total = total + settings.entropy * _entropy(logits, classes, known, settings)
    if settings.dice or settings.center_line:
        said, truth = _labels(logits, classes, known)
        if settings.dice:
            total = total + settings.dice * soft_dice_loss(said, truth, settings.dice_over)
        if settings.center_line:
            total = total + settings.center_line * _CENTER_LINE(said, truth)
    return total


def _entropy(logits: Tensor, classes: Tensor, known: Tensor, settings: LossSettings) -> Tensor:
    weights = None if settings.class_weights is None else logits.new_tensor(settings.class_weights)
    if logits.shape[1] == 1:
        truth = (classes == 1).to(logits.dtype)
        weight = known.to(logits.dtype)
        if weights is not None:
            weight = weight * torch.where(classes == 1, weights[1], weights[0])
        each = functional.binary_cross_entropy_with_logits(logits[:, 0], _smoothed(truth, settings), reduction="none")
        return (weight * _focused(each, settings.focus)).sum() / weight.sum().clamp(min=_SMOOTH)
    target = torch.where(known, classes, -1).long()
    if not settings.focus:
        return functional.cross_entropy(logits, target, weights, ignore_index=-1, label_smoothing=settings.smoothing)
    each = functional.cross_entropy(logits, target, ignore_index=-1, reduction="none")
    weight = known.to(logits.dtype)
    if weights is not None:
        weight = weight * weights[target.clamp(min=0)]
    return (weight * _focused(each, settings.focus)).sum() / weight.sum().clamp(min=_SMOOTH)


def _focused(entropy: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma times the cross-entropy, p the probability of the truth (Lin et al., ICCV 2017)."""
    return entropy if gamma == 0.0 else (1.0 - torch.exp(-entropy)).clamp(min=0.0) ** gamma * entropy


def _smoothed(truth: Tensor, settings: LossSettings) -> Tensor:
    return truth * (1.0 - settings.smoothing) + 0.5 * settings.smoothing


def _labels(logits: Tensor, classes: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and truths (N, labels, *size), background left out, 0 where nothing is known."""
    if logits.shape[1] == 1:
        said, truth = torch.sigmoid(logits), (classes == 1)[:, None]
    else:
        said = torch.softmax(logits, dim=1)[:, 1:]
        numbers = torch.arange(1, logits.shape[1], device=logits.device).view(1, -1, *[1] * (classes.ndim - 1))
        truth = classes[:, None] == numbers
    seen = known[:, None].to(said.dtype)
    return said * seen, truth.to(said.dtype) * seen


def soft_dice_loss(said: Tensor, truth: Tensor, over: str) -> Tensor:
    """1 - 2 |said ∩ truth| / (|said| + |truth|), mean over labels, and over examples unless taken over the batch.

    Args:
        said: Probabilities (N, labels, *size).
        truth: 0 or 1, the same shape.
        over: "batch" or "example".

    Returns:
        A scalar; a label that is nowhere and nowhere said has a loss of 0.
    """
    axes = tuple(range(2, said.ndim)) if over == "example" else (0, *range(2, said.ndim))
    both, total = (said * truth).sum(axes), said.sum(axes) + truth.sum(axes)
    return 1.0 - ((2.0 * both + _SMOOTH) / (total + _SMOOTH)).mean()


def head_loss(logits: Tensor, truth: Tensor, heads: Sequence[AnyHead], settings: LossSettings) -> Tensor:
    """Loss of a classifier's logits, the mean over its heads.

    Args:
        logits: (N, outputs).
        truth: (N, outputs) float32 with NaN where nothing is known: 0 or 1 of findings, 0 or 1 of each class, scores.
        heads: In the order of the outputs.
        settings: `class_weights` are those of the outputs in their order: of positives for findings, of classes for
            classes; `focus` and `smoothing` as everywhere. `dice` has no meaning here.

    Returns:
        A scalar; 0 where nothing at all is known.
    """
    weights = None if settings.class_weights is None else logits.new_tensor(settings.class_weights)
    values, first = [], 0
    for head in heads:
        own = slice(first, first + len(head.names))
        first = own.stop
        weight = None if weights is None else weights[own]
        values.append(_head(logits[:, own], truth[:, own], head, settings, weight))
    return torch.stack(values).mean()


def _head(logits: Tensor, truth: Tensor, head: AnyHead, settings: LossSettings, weight: Tensor | None) -> Tensor:
    known = ~torch.isnan(truth)
    target = torch.nan_to_num(truth)
    if isinstance(head, FindingsHead):
        each = functional.binary_cross_entropy_with_logits(
            logits, _smoothed(target, settings), reduction="none", pos_weight=weight
        )
        each = _focused(each, settings.focus)
    elif isinstance(head, ClassesHead):
        each = functional.cross_entropy(
            logits, target.argmax(dim=1), weight, reduction="none", label_smoothing=settings.smoothing
        )
        each, known = _focused(each, settings.focus), known.all(dim=1)
    else:
        # As wide a scale as it has: errors of heads are then alike.
        each = functional.smooth_l1_loss(logits, target, reduction="none") / (head.high - head.low)
    return (each * known).sum() / known.sum().clamp(min=1)


def distilled(student: Tensor, teacher: Tensor, temperature: float, *, independent: bool) -> Tensor:
    """How far the student's softened answers are from the teacher's (Hinton et al., 2015), times T squared.

    Args:
        student: Logits (N, outputs, …).
        teacher: The same shape.
        temperature: T.
        independent: Every output is a sigmoid of its own; otherwise they are one softmax.
    """
    soft = student / temperature, teacher / temperature
    if independent or student.shape[1] == 1:
        target = torch.sigmoid(soft[1])
        entropy = functional.binary_cross_entropy_with_logits(soft[0], target)
        own = functional.binary_cross_entropy_with_logits(soft[1], target)
        return (entropy - own) * temperature**2
    log_said, log_wanted = functional.log_softmax(soft[0], dim=1), functional.log_softmax(soft[1], dim=1)
    each = functional.kl_div(log_said, log_wanted, reduction="none", log_target=True).sum(dim=1)
    return each.mean() * temperature**2
