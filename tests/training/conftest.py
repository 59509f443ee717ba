"""A folder with a tiny model, its tokenizer and pairs, for whole runs."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from gradlab.data.arithmetic import pairs
from gradlab.data.bpe import train_tokenizer
from gradlab.models import DecoderConfig, build, save_model


@dataclass(frozen=True)
class Place:
    """Where a tiny model and its data lie.

    Attributes:
      model: folder of the model.
      data: file of 24 pairs.
      texts: file of 12 demonstrations.
    """

    model: Path
    data: Path
    texts: Path

    def arguments(self, out: Path, *more: str) -> list[str]:
        """Of a short run of `gradlab train` with one shape and no probes."""
        return [
            "train", "--model.path", str(self.model), "--data.path", str(self.data),
            "--data.batch-size", "4", "--data.max-shapes", "1", "--probes.kinds", "",
            "--optimiser.learning-rate", "0.01", "--out", str(out), *more,
        ]  # fmt: skip


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Place:
    """A tiny model and short word problems."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "model").mkdir()
    made = pairs(24, 0, kinds=("last",), steps=(1, 1), style="terse")
    keys = ("prompt", "chosen", "rejected")
    rows = [{key: getattr(pair, key) for key in keys} for pair in made]
    tokenizer = train_tokenizer(
        [row["prompt"] + row["chosen"] for row in rows], 300, folder / "model"
    )
    config = DecoderConfig(
        vocab_size=300, width=16, layers=1, heads=2, ff_width=32, max_length=160
    )
    _, params = build(config)
    save_model(
        folder / "model", config, params, bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
    )  # fmt: skip
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    texts = [{"prompt": r["prompt"], "completion": r["chosen"]} for r in rows[:6]]
    texts += [{"text": r["prompt"] + r["chosen"]} for r in rows[6:12]]
    (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, texts)))
    return Place(folder / "model", folder / "pairs.jsonl", folder / "texts.jsonl")
