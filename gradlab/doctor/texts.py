"""Whether prompts, responses and their ends became the tokens that they should."""

from collections.abc import Iterator, Sequence

from gradlab.data import TokenizedPair, Tokenizer
from gradlab.data.batches import batches
from gradlab.doctor.findings import Finding
from gradlab.inputs.scored import SIDES
from gradlab.models.functional import LanguageModel


def text_findings(
    pairs: Sequence[TokenizedPair],
    tokenizer: Tokenizer,
    model: LanguageModel,
    *,
    append_eos: bool,
) -> Iterator[Finding]:
    """The checks that need no model."""
    yield _vocabulary(tokenizer, model)
    yield _beginnings(pairs, tokenizer)
    yield _ends(pairs, tokenizer, append_eos)
    yield _masks(pairs)


def _vocabulary(tokenizer: Tokenizer, model: LanguageModel) -> Finding:
    rows = model.config.vocab_size if model.config else None
    text = f"{tokenizer.vocab_size} tokens, {rows} rows of the model's embedding"
    if rows is not None and rows < tokenizer.vocab_size:
        return Finding("vocabulary", "warn", f"{text}: some tokens have none")
    return Finding("vocabulary", "ok", text)


def _beginnings(pairs: Sequence[TokenizedPair], tokenizer: Tokenizer) -> Finding:
    bos = tokenizer.bos_id
    if bos is None:
        return Finding("prompts", "ok", "the tokenizer has no BOS")
    twice = [pair.row for pair in pairs if pair.prompt[:2] == [bos, bos]]
    if twice:
        text = f"BOS stands twice before {_rows(twice, pairs)}: is it in the data too?"
        return Finding("prompts", "warn", text)
    cut = [pair.row for pair in pairs if pair.prompt_dropped]
    if cut:
        return Finding("prompts", "warn", f"the start is cut of {_rows(cut, pairs)}")
    count = sum(pair.prompt[0] == bos for pair in pairs)
    text = f"{count} of {len(pairs)} begin with BOS, none twice; none is cut"
    return Finding("prompts", "ok", text)


def _ends(
    pairs: Sequence[TokenizedPair], tokenizer: Tokenizer, append_eos: bool
) -> Finding:
    eos = tokenizer.eos_id
    if eos is None:
        text = "the tokenizer has no EOS: a model can't learn when to stop"
        return Finding("ends", "warn" if append_eos else "ok", text)
    inside = [p.row for p in pairs if any(eos in r[:-1] for r in _responses(p))]
    if inside:
        text = f"EOS stands within a response of {_rows(inside, pairs)}"
        return Finding("ends", "warn", text)
    without = [p.row for p in pairs if any(r[-1] != eos for r in _responses(p))]
    if without and append_eos:
        text = f"no EOS ends a response of {_rows(without, pairs)}: cut, or templated"
        return Finding("ends", "warn", text)
    count = 2 * len(pairs)
    ended = sum(r[-1] == eos for pair in pairs for r in _responses(pair))
    return Finding("ends", "ok", f"{ended} of {count} responses end with EOS")


def _masks(pairs: Sequence[TokenizedPair]) -> Finding:
    """What is under the mask of a batch is the response, no more and no less."""
    wrong = []
    for side in SIDES:
        for batch in batches(pairs, side, batch_size=len(pairs)):
            for mask, targets, place in zip(
                batch.mask, batch.targets, batch.index, strict=True
            ):
                response = getattr(pairs[place], side) if place >= 0 else []
                if targets[mask].tolist() != response:
                    wrong.append(pairs[place].row)
    if wrong:
        text = f"other tokens than the response are counted in {_rows(wrong, pairs)}"
        return Finding("masks", "FAIL", text)
    tokens = sum(len(r) for pair in pairs for r in _responses(pair))
    return Finding("masks", "ok", f"exactly the {tokens} tokens of responses count")


def _responses(pair: TokenizedPair) -> tuple[list[int], list[int]]:
    return pair.chosen, pair.rejected


def _rows(rows: Sequence[int], pairs: Sequence[TokenizedPair]) -> str:
    """'3 of 8 pairs (rows 1, 2, 5)'."""
    some = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    return f"{len(rows)} of {len(pairs)} pairs (rows {some})"
