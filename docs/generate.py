"""Writes the generated pages: `python -m docs.generate`.

Everything on them comes from docstrings, the table of losses and computed numbers.
"""

import warnings
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp

from docs.conventions import Row, Topic, pair
from docs.topics import KINKS, PLACEMENT
from docs.topics_scales import SCALES
from gradlab.gradients import value_and_token_weights
from gradlab.losses import LOSSES
from gradlab.losses.describe import LossDescription, describe_loss, list_losses

FOLDER = Path(__file__).parent / "losses"
NOTE = "<!-- Written by `python -m docs.generate`; edit the docstrings instead. -->"

FAMILIES: dict[str, str] = {
    "likelihood": "Likelihood losses",
    "dpo": "DPO and the losses of the same log-ratios",
    "reference_free": "Losses without reference",
    "length_aware": "Length-aware losses",
    "preserving": "Likelihood-preserving losses",
    "demonstration": "Demonstration losses",
    "unpaired": "Losses of single responses",
}

SYMBOLS = """\
`S_w`, `S_l`: summed log-probability of the chosen and the rejected response (nats);
`R_w`, `R_l`: the same under the frozen reference; `L_w`, `L_l`: lengths in tokens;
`A = S / L`: means; `a = S_w - R_w`, `b = S_l - R_l`: log-ratios; `h = a - b`;
`p_t = exp(logp_t)`; `s`: logistic sigmoid; `N_w`, `N_l`: tokens of the whole batch;
`B`: pairs. `G_w,t`, `G_l,t`: derivative of one pair's loss with respect to one token
log-probability; where it is the same on every token it is written `D_w = dL/da`,
`D_l = dL/db`. Negative: a gradient step raises the token."""


def pages() -> dict[str, str]:
    """File name -> text of every generated page."""
    made = {"index.md": index_page(), "conventions.md": conventions_page()}
    for family, title in FAMILIES.items():
        made[f"{family}.md"] = family_page(family, title)
    return {name: text.rstrip() + "\n" for name, text in made.items()}


def index_page() -> str:
    """All losses in one table."""
    lines = [
        "| loss | family | formula | needs | source |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in list_losses():
        name, family = row["name"], row["family"]
        needs = ", ".join(f"`{f}`" for f in LOSSES[name].needs_fields)
        lines.append(
            f"| [`{name}`]({family}.md#{name}) | {FAMILIES[family]} "
            f"| {code(row['formula'])} | {needs} | {row['citation']} |"
        )
    head = f"{NOTE}\n\n# Losses\n\n{SYMBOLS}\n\nHow public implementations of one name "
    head += "differ, in numbers: [conventions](conventions.md). Losses of your own: "
    head += "[your_own](your_own.md)."
    return "\n\n".join([head, "\n".join(lines)])


def family_page(family: str, title: str) -> str:
    """One section per loss of the family."""
    described = [describe_loss(n) for n, i in LOSSES.items() if i.family == family]
    blocks = [loss_section(description) for description in described]
    return "\n\n".join([f"{NOTE}\n\n# {title}", SYMBOLS, *blocks])


def loss_section(loss: LossDescription) -> str:
    """One loss."""
    also = "".join(f", also called `{alias}`" for alias in loss.aliases)
    facts = [f"* Reads {needs(loss)}."]
    if loss.coupling:
        facts.append(f"* {loss.coupling[0].upper()}{loss.coupling[1:]}.")
    facts.append(f"* Defaults: {loss.defaults_source}.")
    settings = ["| keyword | default | meaning |", "| --- | --- | --- |"]
    for keyword, meaning in loss.arguments.items():
        default = (
            code(repr(loss.defaults[keyword]))
            if keyword in loss.defaults
            else ("required")
        )
        settings.append(
            f"| `{keyword}` | {default} | {meaning.replace('|', chr(92) + '|')} |"
        )
    return "\n\n".join(
        [
            f"## {loss.name}",
            loss.summary.rstrip(".") + also + ".",
            f"```text\n{loss.formula}\n```",
            f"Gradient:\n\n```text\n{loss.gradient}\n```",
            f"Returns {loss.returns}",
            "\n".join(settings),
            "\n".join(facts),
            loss.conventions,
            loss.references,
            f"```bibtex\n{loss.bibtex}\n```",
        ]
    )


def needs(loss: LossDescription) -> str:
    """What the loss reads beside the policy's log-probabilities, in words."""
    fields = [f"`{field}`" for field in loss.needs_fields]
    return ", ".join(fields) if fields else "no reference"


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


def code(text: str) -> str:
    """Inline code that survives a table."""
    return "`" + text.replace("|", "\\|") + "`"


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
