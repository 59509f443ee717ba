"""A torch run followed token by token: the callback for TRL's trainers.

It writes the tables that `gradlab train` writes, so that whatever reads those reads a
torch run too.
"""

import hashlib
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from gradlab.bridges.rows import Pairs, probe_rows, tokenizer_of
from gradlab.bridges.trainer_state import metric_lines
from gradlab.data import TokenizedPair
from gradlab.errors import GradlabError, MissingExtraError
from gradlab.tables import build_manifest, read_table, stage, write_manifest
from gradlab.training.config import ProbeSettings
from gradlab.training.probe_files import TEXTS, ProbeFiles, due_steps, texts_json
from gradlab.training.probe_sets import FIXED, frozen_sets, probe_kinds
from gradlab.training.probe_tables import token_table

try:
    from transformers import TrainerCallback  # pyright: ignore[reportMissingImports]

    from gradlab.bridges.torch_logps import token_columns
except ImportError as error:
    raise MissingExtraError(
        "gradlab.bridges.trl needs torch and transformers, which can't be imported "
        f"({error}); expected them installed: pip install 'gradlab[trl]'"
    ) from error

SHARDED = {"FullyShardedDataParallel", "DTensor"}  # module, parameter
# TRL's loss types that bear another name here, and settings that make other losses:
# our name -> TRL's setting and its plain value.
OUR_NAMES = {
    "sigmoid": "dpo",
    "sigmoid_norm": "averaged_dpo",
    "ipo": "averaged_ipo",
    "robust": "robust_dpo",
    "sft": "mle",
}
VARIANTS = {
    "f_dpo": ("f_divergence_type", "reverse_kl"),
    "lddpo": ("ld_alpha", None),
    "wpo": ("use_weighting", False),
}
LONGEST = 1 << 20  # tokens, where a tokenizer names no limit


class ProbeCallback(TrainerCallback):
    """Follows the token log-probabilities of fixed texts through a trainer's run.

    At step 0, at the last step and between, the probe texts are measured under the
    model as it is. The folder gets what `gradlab train` writes: `probe_tokens.parquet`
    (one row per token: step, probe, row, position, token_id, logp, entropy, max_logp,
    hit, top_k_mass, drift; nats), `probes.parquet` (per text), `probes.csv` (summary)
    and `metrics.jsonl` with every checkpoint and at the end, `manifest.json` at the
    end.

    Guarantees: the run itself is as without the callback, to the bit: no gradient, no
    dropout, no random number is drawn, and every module's mode is restored. A run that
    goes on from a checkpoint goes on in the tables; steps behind the checkpoint are
    measured anew. Of several processes the first one measures and writes.
    """

    def __init__(
        self,
        probe_pairs: Pairs,
        tokenizer: Any,
        folder: str | os.PathLike,
        *,
        every: int | None = None,
        evaluations: int = ProbeSettings.evaluations,
        kinds: str = ProbeSettings.kinds,
        limit: int = ProbeSettings.pairs,
        batch_size: int = ProbeSettings.batch_size,
        top_k: int = ProbeSettings.top_k,
        max_length: int | None = None,
        seed: int = 0,
        overwrite: bool = False,
    ) -> None:
        """Reads the pairs and cuts them into tokens.

        Args:
          probe_pairs: a file or hub data set of pairs, rows with prompt, chosen and
            rejected, or rows that DPOTrainer has cut already (prompt_ids, ...).
          tokenizer: the model's.
          folder: for the tables.
          every: steps between two measurements. Default: geometric spacing.
          evaluations: about how many measurements, where `every` is not given.
          kinds: comma-separated: chosen, rejected, truncated, edited, irrelevant,
            permuted, random; see `gradlab.training.probe_sets.frozen_sets`.
          limit: only the first so many pairs.
          batch_size: sequences in one forward pass.
          top_k: the k of the mass on the k most likely tokens; 0 leaves it out.
          max_length: most tokens of prompt and longer response; longer prompts lose
            their start. Default: the tokenizer's limit.
          seed: of the random kinds.
          overwrite: replace an earlier run's probes in the folder.

        Raises:
          GradlabError: a bad row, an unknown kind, or a number out of range.
        """
        self.settings = ProbeSettings(
            kinds=kinds, pairs=limit, evaluations=evaluations, every=every,
            top_k=top_k, batch_size=batch_size,
        )  # fmt: skip
        _check(self.settings)
        self.files = ProbeFiles(Path(folder))
        self.seed, self.overwrite = seed, overwrite
        if max_length is None:
            longest = getattr(tokenizer, "model_max_length", LONGEST)
            max_length = int(min(longest, LONGEST))
        self.pairs = probe_rows(
            probe_pairs, tokenizer_of(tokenizer), max_length=max_length, limit=limit
        )
        self._sets: dict[str, list[TokenizedPair]] = {}
        self._first: dict[str, np.ndarray] = {}
        self._due: list[int] = []
        self._started = time.monotonic()

    def on_train_begin(self, args, state, control, model: Any = None, **kwargs) -> None:
        """Measures the start, or finds what an earlier part of the run measured."""
        _refuse_sharded(model)
        if not state.is_world_process_zero:
            return
        self._started = time.monotonic()
        self._first, self._due = {}, due_steps(self.settings, state.max_steps)
        vocab_size = model.get_input_embeddings().weight.shape[0]
        self._require_known(vocab_size)
        self._sets = self._frozen(vocab_size)
        if state.global_step == 0:
            self._begin()
            self._measure(0, model)
        else:
            self._go_on(state.global_step)

    def on_step_end(self, args, state, control, model: Any = None, **kwargs) -> None:
        """Measures where the step is due."""
        if state.is_world_process_zero and state.global_step in self._due:
            self._measure(state.global_step, model)

    def on_save(self, args, state, control, **kwargs) -> None:
        """Brings the tables up to date, so that they suit the checkpoint."""
        if state.is_world_process_zero:
            self._write_tables(state)

    def on_train_end(self, args, state, control, model: Any = None, **kwargs) -> None:
        """Measures the last step of a run that stopped early; writes everything."""
        if not state.is_world_process_zero:
            return
        # A best checkpoint that was loaded again is not the model of the last step.
        if not args.load_best_model_at_end:
            self._measure(state.global_step, model)
        self._write_tables(state)
        parameter = next(model.parameters())
        manifest = build_manifest(
            config={"trainer": args.to_dict(), "probes": self.settings},
            seed=args.seed,
            dtype=f"{parameter.dtype} parameters, float32 log-probabilities",
            device=str(parameter.device),
            wall_seconds=round(time.monotonic() - self._started, 2),
            command="gradlab.bridges.trl.ProbeCallback",
            loss=_loss(args),
            steps=state.global_step,
            notes=self.pairs.report.lines(),
            probe_digest=hashlib.sha256(texts_json(self._sets).encode()).hexdigest(),
        )
        with stage(self.files.folder) as partial:
            write_manifest(manifest, partial / "manifest.json")

    def _require_known(self, vocab_size: int) -> None:
        """Ids that the model's embedding has."""
        for pair in self.pairs:
            highest = max(*pair.prompt, *pair.chosen, *pair.rejected)
            if highest >= vocab_size:
                raise GradlabError(
                    f"probe pairs, row {pair.row}: token id {highest}; expected 0 to "
                    f"{vocab_size - 1}, the rows of the model's embedding"
                )

    def _frozen(self, vocab_size: int) -> dict[str, list[TokenizedPair]]:
        return frozen_sets(
            probe_kinds(self.settings.kinds),
            self.pairs.pairs,
            vocab_size=vocab_size,
            seed=self.seed,
            generate=lambda rows, temperature: [],
            column=lambda name: [],
        )

    def _begin(self) -> None:
        """A new run: the folder must hold no other."""
        if self.files.steps() and not self.overwrite:
            raise GradlabError(
                f"{self.files.folder} holds the probes of a run already; expected a "
                "new or empty folder, overwrite=True, or a run that goes on from a "
                "checkpoint"
            )
        self._drop_behind(-1)
        self.files.write_texts(self._sets)

    def _go_on(self, step: int) -> None:
        """An earlier run: its texts and its start must be here."""
        texts, start = self.files.parts / TEXTS, self.files.part(0)
        if not (texts.is_file() and start.is_file()):
            raise GradlabError(
                f"{self.files.folder}: no probes of step 0 there, but the run goes on "
                f"from step {step}; expected the folder of its first part (drift is "
                "measured from the start)"
            )
        if texts.read_text() != texts_json(self._sets):
            raise GradlabError(
                f"{texts}: other probe texts than those given now; expected the same "
                "pairs, kinds and tokenizer as in the first part of the run"
            )
        self._drop_behind(step)
        found = read_table(start)
        for kind in self._sets:
            self._first[kind] = found.loc[found["probe"] == kind, "logp"].to_numpy()

    def _drop_behind(self, step: int) -> None:
        for number in self.files.steps():
            if number > step:
                self.files.part(number).unlink()

    def _measure(self, step: int, model: Any) -> None:
        """Writes the rows of a step, unless they are there."""
        if self.files.part(step).is_file():
            return
        tables = []
        for kind, rows in self._sets.items():
            columns = token_columns(
                model,
                rows,
                batch_size=self.settings.batch_size,
                top_k=self.settings.top_k,
            )
            first = self._first.setdefault(kind, columns["logp"])
            columns["drift"] = columns["logp"] - first
            tables.append(token_table(step, kind, rows, columns))
        self.files.write_step(step, tables)

    def _write_tables(self, state: Any) -> None:
        self.files.write_tables(self.files.steps(), tokens=True)
        with stage(self.files.folder) as partial:
            text = "".join(map(_line, metric_lines(state.log_history)))
            (partial / "metrics.jsonl").write_text(text, encoding="utf-8")


def _check(settings: ProbeSettings) -> None:
    kinds = probe_kinds(settings.kinds)
    if not kinds or not set(kinds) <= set(FIXED):
        raise GradlabError(
            f"kinds is {settings.kinds!r}; expected some of {', '.join(FIXED)}"
        )
    for name in ("every", "evaluations", "pairs", "batch_size"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            shown = {"pairs": "limit"}.get(name, name)
            raise GradlabError(f"{shown} is {value}; expected at least 1")


def _refuse_sharded(model: Any) -> None:
    """One process alone can't run a model whose parameters several hold in parts."""
    kinds = {type(part).__name__ for part in (*model.modules(), *model.parameters())}
    if kinds & SHARDED or any(hasattr(p, "ds_id") for p in model.parameters()):
        raise GradlabError(
            "ProbeCallback: the model's parameters are sharded over processes (FSDP or "
            "ZeRO stage 3); expected a whole model in each process (DDP)"
        )


def _loss(args: Any) -> str:
    """The loss by our names, which `gradlab cite` knows, and by its trainer's."""
    kind = getattr(args, "loss_type", None)
    theirs = [kind] if isinstance(kind, str) else list(map(str, kind or []))
    ours = [OUR_NAMES.get(name, name) for name in theirs]
    ours += [
        name
        for name, (setting, plain) in VARIANTS.items()
        if getattr(args, setting, plain) != plain
    ]
    beta = getattr(args, "beta", None)
    settings = "" if beta is None else f", beta={beta:g}"
    return f"{' + '.join(ours)} ({' + '.join(theirs)}{settings})"


def _line(numbers: dict[str, Any]) -> str:
    kept = {k: v if math.isfinite(v) else str(v) for k, v in numbers.items()}
    return json.dumps(kept, allow_nan=False) + "\n"
