"""One page per loss, and the table of all, from docstrings and the catalogue."""

from docs.pages.text import code, escape
from gradlab.losses import LOSSES
from gradlab.losses.describe import LossDescription, describe_loss, list_losses

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
    """Address in the site -> text of every page on losses."""
    made = {f"losses/{name}.md": loss_page(describe_loss(name)) for name in LOSSES}
    return {"losses/index.md": index_page(), **made}


def families() -> dict[str, list[str]]:
    """Title of a family -> its losses, in the order of the catalogue."""
    return {
        title: [name for name, info in LOSSES.items() if info.family == family]
        for family, title in FAMILIES.items()
    }


def index_page() -> str:
    """All losses, a table per family."""
    head = (
        f"# Losses\n\n{SYMBOLS}\n\nHow public implementations of one name differ, in "
    )
    head += "numbers: [conventions](conventions.md). A loss of your own: "
    blocks = [head + "[your own](your_own.md)."]
    rows = {row["name"]: row for row in list_losses()}
    for title, names in families().items():
        lines = ["| loss | formula | needs | source |", "| --- | --- | --- | --- |"]
        for name in names:
            needed = ", ".join(f"`{field}`" for field in LOSSES[name].needs_fields)
            lines.append(
                f"| [`{name}`]({name}.md) | {code(rows[name]['formula'])} "
                f"| {needed} | {rows[name]['citation']} |"
            )
        blocks += [f"## {title}", "\n".join(lines)]
    return "\n\n".join(blocks)


def loss_page(loss: LossDescription) -> str:
    """Everything that is known of one loss."""
    also = "".join(f", also called `{alias}`" for alias in loss.aliases)
    kind = FAMILIES[loss.family]
    parts = [
        f"# {loss.name}",
        f"{escape(loss.summary.rstrip('.'))}{also}. *{kind}.*",
        f"```text\n{loss.formula}\n```",
        f"## Gradient\n\n```text\n{loss.gradient}\n```",
        f"Returns {escape(loss.returns)} Symbols: [losses](index.md).",
        f"## Settings\n\n{settings(loss)}",
        facts(loss),
        f"## Conventions\n\n{escape(loss.conventions)}" if loss.conventions else "",
        f"## Use\n\n{use(loss)}",
        f"## Source\n\n{escape(loss.references)}",
        f"```bibtex\n{loss.bibtex}\n```",
    ]
    return "\n\n".join(part for part in parts if part)


def settings(loss: LossDescription) -> str:
    """The table of keywords."""
    lines = ["| keyword | default | meaning |", "| --- | --- | --- |"]
    for keyword, meaning in loss.arguments.items():
        given = keyword in loss.defaults
        default = code(repr(loss.defaults[keyword])) if given else "(required)"
        lines.append(f"| `{keyword}` | {default} | {escape(meaning, table=True)} |")
    return "\n".join(lines) if loss.arguments else "None."


def facts(loss: LossDescription) -> str:
    """What it reads, whether pairs couple, where the defaults come from."""
    fields = ", ".join(f"`{field}`" for field in loss.needs_fields)
    lines = [f"* Reads {fields or 'no reference'}."]
    if loss.coupling:
        lines.append(f"* {loss.coupling[0].upper()}{loss.coupling[1:]}.")
    lines.append(f"* Defaults: {escape(loss.defaults_source)}.")
    return "\n".join(lines)


def use(loss: LossDescription) -> str:
    """The loss on the command line and in Python."""
    required = ", ".join(f"{keyword}=..." for keyword in loss.required)
    named = f"{loss.name}({required})" if required else loss.name
    arguments = f'"{loss.name}", pairs' + (f", {required}" if required else "")
    return (
        f'```sh\ngradlab compare --losses "{named}"\n```\n\n'
        f"```python\ngradlab.token_weights({arguments})  # pairs: a gradlab.PairLogps\n"
        f"gradlab.LOSSES[{loss.name!r}].function(pairs)  # [B]\n```"
    )
