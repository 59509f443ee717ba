"""Writes the page of conventions with its numbers: `python -m docs.generate`.

It is kept in the repository, where a number that moves shows. All other made pages are
made with the site: see `docs.pages`.
"""

import warnings
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp

from docs.conventions import Row, Topic, pair
from docs.pages.text import code
from docs.topics import KINKS, PLACEMENT
from docs.topics_scales import SCALES
from gradlab.gradients import value_and_token_weights

FOLDER = Path(__file__).parent / "losses"
NOTE = "<!-- Written by `python -m docs.generate`; edit docs/topics*.py. -->"


def pages() -> dict[str, str]:
    """File name -> text of every page that is kept in docs/losses."""
    return {"conventions.md": conventions_page().rstrip() + "\n"}


def conventions_page() -> str:
    """The numbers of one pair under every convention."""
    head = """\
# Conventions

The same name is not the same loss. Below, one pair under each convention that public
software follows: its loss, and the sum of the token weights dL/dlogp over the chosen
and over the rejected response. The pair has 4 chosen and 8 rejected tokens, log-ratios
a = -0.6 and b = -2.1, and log-probabilities S_w = -2.5 and S_l = -8
(`docs.conventions.pair`). A library stands with the version or commit that was read."""
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        blocks = [topic_section(topic) for topic in (*PLACEMENT, *SCALES)]
        blocks.append(kinks_section())
    return "\n\n".join([NOTE, head, *blocks])


def topic_section(topic: Topic) -> str:
    """A table of one topic's conventions."""
    lines = [
        "| convention | loss | chosen | rejected | here | used by |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    for row in topic.rows:
        value, weights = value_and_token_weights(row.loss, pair())
        sides = [float(jnp.sum(w)) for w in (weights.chosen, weights.rejected)]
        numbers = " | ".join(number(x) for x in (float(value[0]), *sides))
        lines.append(f"| {row.convention} | {numbers} | {here(row)} | {row.used_by} |")
    parts = [f"## {topic.title}", topic.remark, "\n".join(lines)]
    return "\n\n".join(part for part in parts if part)


def kinks_section() -> str:
    """DPOP's weight on one chosen token where policy and reference agree."""
    pairs = pair()
    pairs = replace(pairs, ref_chosen=pairs.chosen, ref_rejected=pairs.rejected)
    lines = ["| max(0, -a) written as | weight | used by |", "| --- | ---: | --- |"]
    for row in KINKS:
        weights = value_and_token_weights(row.loss, pairs)[1]
        weight = number(float(weights.chosen[0, 0]))
        lines.append(f"| {row.convention} | {weight} | {row.used_by} |")
    head = """\
## DPOP: the first step from the reference

At policy = reference the hinge of DPOP lies on its kink, where implementations
differentiate it differently. The weight of every chosen token, with beta = 0.3 and
lambda = 50:"""
    return "\n\n".join([head, "\n".join(lines)])


def number(x: float) -> str:
    """Four decimals, or four significant digits of what would vanish there."""
    if x != 0 and abs(x) < 1e-3:
        return f"{x:.4g}"
    return f"{x:.4f}" if abs(x) < 1e4 else f"{x:.2f}"


def here(row: Row) -> str:
    """The specification of the row in gradlab."""
    return code(row.loss) if isinstance(row.loss, str) else ""


def main() -> None:
    """Write every page."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
