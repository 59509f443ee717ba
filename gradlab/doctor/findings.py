"""What a check found: a verdict, and where there is one the number and its limits."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Verdict = Literal["ok", "warn", "FAIL"]


class Limits(NamedTuple):
    """Up to `ok` a number is fine, up to `warn` it is worth a look."""

    ok: float
    warn: float


@dataclass(frozen=True)
class Finding:
    """One line of the result.

    Attributes:
      name: of what was looked at.
      verdict: ok, warn or FAIL.
      text: what was found, in words.
      value: the number that was judged, or None.
      limits: that it was judged by, or None.
    """

    name: str
    verdict: Verdict
    text: str
    value: float | None = None
    limits: Limits | None = None

    @property
    def number(self) -> str:
        """'7.6e-06 > 2e-06', the number beside the limit that tells its verdict."""
        if self.value is None or self.limits is None:
            return ""
        limit = self.limits.warn if self.verdict == "FAIL" else self.limits.ok
        sign = "<=" if self.verdict == "ok" else ">"
        return f"{self.value:.1e} {sign} {limit:.0e}"


def judged(name: str, value: float, limits: Limits, text: str) -> Finding:
    """A finding with the verdict that a number deserves; NaN fails.

    Example:
      >>> judged("padding", 3e-6, Limits(1e-5, 1e-3), "of 8 pairs").verdict
      'ok'
      >>> judged("padding", float("nan"), Limits(1e-5, 1e-3), "of 8 pairs").number
      'nan > 1e-03'
    """
    verdict: Verdict = "FAIL"
    if value <= limits.ok:
        verdict = "ok"
    elif value <= limits.warn:
        verdict = "warn"
    return Finding(name, verdict, text, float(value), limits)


def worst(findings: Sequence[Finding]) -> Verdict:
    """The worst verdict of all."""
    found = {finding.verdict for finding in findings}
    return "FAIL" if "FAIL" in found else "warn" if "warn" in found else "ok"


def as_values(findings: Sequence[Finding]) -> dict[str, Any]:
    """Everything as plain values for JSON; a number that is not finite is a string."""
    rows = []
    for finding in findings:
        row = asdict(finding)
        row["limits"] = finding.limits and finding.limits._asdict()
        if finding.value is not None and not math.isfinite(finding.value):
            row["value"] = str(finding.value)
        rows.append(row)
    return {"verdict": worst(findings), "findings": rows}
