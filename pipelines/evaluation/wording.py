"""Names of figures as people read them."""

_WORDS = {
    "dice": "Dice",
    "dice_with_reference": "Dice where there is a reference",
    "dice_global": "Dice, global",
    "iou": "IoU",
    "nsd": "NSD",
    "hd": "Hausdorff distance",
    "hd95": "HD95",
    "assd": "ASSD",
    "rmsd": "RMSD",
    "voe": "VOE",
    "rvd": "RVD",
    "auroc": "AUROC",
    "auroc_mean": "AUROC, mean over labels",
    "average_precision": "AUPRC (average precision)",
    "calibration_error": "ECE, equal width",
    "calibration_error_raw": "ECE, equal width, raw",
    "calibration_error_equal_mass": "ECE, equal mass",
    "calibration_error_equal_mass_raw": "ECE, equal mass, raw",
    "brier": "Brier score",
    "brier_raw": "Brier score, raw",
    "kappa": "Cohen's kappa",
    "kappa_quadratic": "Cohen's kappa, quadratic",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "two_class_iou": "Two-class IoU (0.5 to 0.95)",
    "foreground_iou": "Foreground IoU",
    "foreground_iou_pooled": "Foreground IoU, pooled",
    "panoptic_quality_pooled": "Panoptic quality, pooled",
    "recognition_quality_pooled": "Recognition quality, pooled",
    "segmentation_quality_pooled": "Segmentation quality, pooled",
    "aggregated_jaccard": "Aggregated Jaccard index",
    "lesion_recall_overlap": "Lesion recall (overlap)",
    "lesion_precision_overlap": "Lesion precision (overlap)",
    "lesion_f1_overlap": "Lesion F1 (overlap)",
    "lesion_recall_iou": "Lesion recall (IoU > 0.5)",
    "lesion_precision_iou": "Lesion precision (IoU > 0.5)",
    "lesion_f1_iou": "Lesion F1 (IoU > 0.5)",
    "f1": "F1",
    "f1_macro": "F1, mean over classes",
    "froc_average_sensitivity": "FROC, sensitivity at 1/8 to 8 FP",
}
_UNITS = {"mm": "mm", "px": "px", "ml": "ml", "percent": "%"}


def readable(name: str) -> str:
    """A figure's or label's name without underscores and without its unit."""
    plain, unit = _parts(name)
    if unit and plain in _WORDS:
        return _WORDS[plain]
    words = _WORDS.get(name, plain.replace("_", " "))
    return words[:1].upper() + words[1:]


def unit_of(metric: str) -> str:
    """The unit a figure's name ends in, or nothing."""
    return _parts(metric)[1]


def _parts(name: str) -> tuple[str, str]:
    plain, _, last = name.rpartition("_")
    return (plain, _UNITS[last]) if plain and last in _UNITS else (name, "")
