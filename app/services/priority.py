"""How soon somebody should look at a case: what was found, how sure that is, how far the result is to be trusted."""

from collections.abc import Sequence

from pipelines.results import Finding, QualityFlag

# What a flag says of the result: an error may hide what is there.
_OF_FLAG = {"info": 0.0, "warning": 0.25, "error": 0.5}
# A case without findings is looked at too; the surest negative last.
_OF_NOTHING = 0.1


def priority_of(findings: Sequence[Finding], flags: Sequence[QualityFlag]) -> float:
    """Findings times uncertainty times flags, from 0 up to 3.3.

    The first factor is 0.1 plus the probability that at least one of the positive findings is there, as if they were
    independent; the second is 1 to 2, two where a finding lies on its threshold; the third is 1, or 1.25 for warnings
    and 1.5 for errors. A finding without a probability counts as sure.

    Args:
        findings: Of the result; none give 0.1 for the first factor and 1 for the second.
        flags: Of the result.
    """
    absent = 1.0
    for finding in findings:
        if finding.positive:
            absent *= 1.0 - (1.0 if finding.probability is None else finding.probability)
    doubt = max((_doubt(finding) for finding in findings), default=0.0)
    gravest = max((_OF_FLAG[flag.severity] for flag in flags), default=0.0)
    return round((_OF_NOTHING + 1.0 - absent) * (1.0 + doubt) * (1.0 + gravest), 4)


def _doubt(finding: Finding) -> float:
    """1 on the threshold, 0 as far from it as can be."""
    if finding.probability is None:
        return 0.0
    reach = finding.threshold if finding.probability < finding.threshold else 1.0 - finding.threshold
    return 1.0 - abs(finding.probability - finding.threshold) / reach if reach > 0.0 else 1.0
