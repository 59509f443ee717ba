"""The ledger: every claim that a study tests, its verdict, and what that stands on.

Each study that tests claims exports them as `CLAIMS`, fixed before its run.
Verdicts are in tables/<study>_claims.csv; `CLAIMS.md` beside this file is for reading.
"""

import math
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

import pandas as pd

from gradlab.tables import Claim, read_table, select

TABLES = Path(__file__).parent / "tables"
PAGE = Path(__file__).parent / "CLAIMS.md"

SEEN = {
    "A": "abstract",
    "I": "opening paragraph",
    "C": "released code",
    "T": "full text",
    "2": "second hand",
    "U": "user report",
    "D": "own derivation",
    "P": "own pilot",
}

HEAD: str = """# Claims

Every claim that a study tests, in every setting; `python -m analyses claims` prints it.
Measure, smallest effect of interest and decision rule were fixed before the run.
`edit_distance`, `length_sensitivity` and `preference_pipeline` were run again, with
rules mended after their first verdicts had been seen ([how](../docs/studies.md)).
Brackets hold the 95 % t interval over seeds. *Contradicted* reads "in this setting".
A verdict with † rests on that interval alone: adjusted by Holm's method for the
study's other verdicts, its p is above .05.
Where a claim was seen limits what its verdict says: of a paper known by its abstract or
second hand, no number or hyperparameter was at hand, and nothing here replicates one.
"""


def claims_of(study: str) -> Mapping[str, Claim]:
    """The claims of a study by id; none for a study that tests none."""
    return getattr(import_module(f"analyses.{study}"), "CLAIMS", {})


def verdicts_of(study: str) -> pd.DataFrame | None:
    """The committed verdicts of a study, or None."""
    path = TABLES / f"{study}_claims.csv"
    return read_table(path) if path.is_file() else None


def ledger_lines(studies: Iterable[str]) -> list[str]:
    """The ledger as lines of Markdown: a section per study, a table per claim."""
    lines = HEAD.splitlines()
    for study in studies:
        table = verdicts_of(study)
        if table is None:
            continue
        links = f"[table](tables/{study}.csv), [verdicts](tables/{study}_claims.csv)"
        figures = f"[figures](../figures/README.md#{study})"
        lines += ["", f"## {study}", "", f"{links}, {figures}"]
        for claim_id, claim in claims_of(study).items():
            lines += ["", *_claim_lines(claim, select(table, claim_id=claim_id))]
    return lines


def _claim_lines(claim: Claim, rows: pd.DataFrame) -> list[str]:
    seen = SEEN[claim.source_tag]
    source = f"arXiv {claim.paper}, {seen}" if claim.paper else seen
    held = int(rows["verdict"].str.startswith("reproduced").sum())
    measured = sum(x not in ("skipped", "not testable") for x in rows["verdict"])
    lines = [
        f"**{claim.id}** {claim.statement}",
        f"({source}; type {claim.type}, e = {claim.e:g}): "
        f"{held} of {measured} measured settings.",
        "",
        "| setting | verdict | effect | |",
        "|---|---|---|---|",
    ]
    for row in rows.to_dict("records"):
        note = row["note"] if isinstance(row["note"], str) else ""
        cells = (row["setting"], _verdict_text(row), effect_text(row), note)
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    return lines


def _verdict_text(row: Mapping) -> str:
    """With † if it is one way or the other, and does not survive Holm's adjustment."""
    decided = row["verdict"].startswith(("reproduced", "contradicted"))
    return row["verdict"] + " †" * (decided and row["survives_holm"] == "no")


def effect_text(row: Mapping) -> str:
    """Such as "+0.31 [+0.2, +0.42]"; empty where nothing was measured."""
    if math.isnan(row["effect"]):
        return ""
    text = f"{row['effect']:+.3g}"
    if not math.isnan(row["ci_low"]):
        text += f" [{row['ci_low']:+.3g}, {row['ci_high']:+.3g}]"
    return text
