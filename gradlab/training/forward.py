"""From parameters and a batch to what a loss reads.

The rest of the trainer knows a model only as `Score`: (params, rows, width) -> token
statistics [B, S, R] of every side. How the sides lie in rows is the business of the
function and of the rows that it takes.
"""

from collections.abc import Callable, Collection
from dataclasses import MISSING, fields, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gradlab.data.packing import PackedBatch
from gradlab.losses import BoundLoss, draw_kept
from gradlab.models.functional import LanguageModel
from gradlab.models.logps import response_logps, response_stats
from gradlab.models.packing import packed_logps, packed_stats
from gradlab.models.sharding import ROWS, WHOLE
from gradlab.training.batching import Rows, TrainBatch, merge_parts
from gradlab.types import Array, PairLogps, Params

OPTIONAL = frozenset(f.name for f in fields(PairLogps) if f.default is not MISSING)
Scores = dict[str, Array]  # "logps" and perhaps "logsumsq", each [B, S, R]
Score = Callable[[Params, Any, int], Scores]


def make_score(
    model: LanguageModel,
    *,
    squares: bool = False,
    compute: Any = jnp.float32,
    mesh: Mesh | None = None,
) -> Score:
    """Scores one part of a batch; the head runs on response tokens only.

    Args:
      model: the language model.
      squares: also `logsumsq`, log sum_v p_v^2 at each position.
      compute: dtype that the parameters are cast to; log-probabilities are float32.
      mesh: of several devices, each of which runs its own rows, or None.

    Returns:
      (params, rows, R) -> scores. Rows are `Rows`, each response a sequence of its own,
      or a `PackedBatch`. Entries past a response are not meaningful.
    """

    def score(params: Params, rows: Rows | PackedBatch, width: int) -> Scores:
        params = jax.tree.map(lambda leaf: leaf.astype(compute), params)
        if isinstance(rows, PackedBatch):
            return _packed(model, params, rows, squares)
        return _separate(model, params, rows, width, squares)

    return score if mesh is None else _by_device(score, mesh)


def _by_device(score: Score, mesh: Mesh) -> Score:
    """The same for rows [D, b, ...], one part for each device.

    Mapping over the parts keeps every operation inside a device's own rows, whatever
    order it visits them in; only parameters and scores travel.
    """

    def lie(leaf: Array, spec: PartitionSpec) -> Array:
        return jax.lax.with_sharding_constraint(leaf, NamedSharding(mesh, spec))

    def scored(params: Params, rows: Any, width: int) -> Scores:
        rows = jax.tree.map(lambda leaf: lie(leaf, ROWS), rows)
        found = jax.vmap(lambda part: score(params, part, width))(rows)
        return {
            name: lie(merge_parts(lie(leaf, ROWS)), WHOLE)
            for name, leaf in found.items()
        }

    return scored


def _packed(
    model: LanguageModel, params: Params, rows: PackedBatch, squares: bool
) -> Scores:
    if not squares:
        return {"logps": jnp.stack(packed_logps(model, params, rows), axis=1)}
    sides = packed_stats(model, params, rows)
    logps, squared = (
        jnp.stack([getattr(side, name) for side in sides], axis=1)
        for name in ("logps", "log_sum_sq")
    )
    return {"logps": logps, "logsumsq": squared}


def _separate(
    model: LanguageModel, params: Params, rows: Rows, width: int, squares: bool
) -> Scores:
    shape = rows.start.shape
    tokens = rows.tokens.reshape(-1, rows.tokens.shape[-1])
    start = rows.start.reshape(-1)
    # Masks follow the batch: here every column counts.
    inputs = (model, params, tokens, start, jnp.full_like(start, width))
    if squares:
        stats = response_stats(*inputs, width=width)
        found = {"logps": stats.logps, "logsumsq": stats.log_sum_sq}
    else:
        found = {"logps": response_logps(*inputs, width=width)}
    return {name: leaf.reshape(*shape, width) for name, leaf in found.items()}


def fields_read(loss: BoundLoss) -> frozenset[str]:
    """Optional fields of `PairLogps` that a loss reads, also a user's own function."""
    seen: set[str] = set(loss.needs_fields)

    class Watched(PairLogps):
        def __getattribute__(self, name: str) -> Any:
            if name in OPTIONAL:
                seen.add(name)
            return super().__getattribute__(name)

    if _is_known(loss):
        return frozenset(seen)
    shapes = {f.name: jnp.zeros((2, 3)) - 0.5 for f in fields(PairLogps)}
    shapes["kl_logratios"] = jnp.zeros(2)
    # Field by field: only what the loss itself reads is to be seen.
    jax.eval_shape(lambda: loss(Watched(**shapes)))
    return frozenset(seen)


def _is_known(loss: BoundLoss) -> bool:
    terms = getattr(loss, "terms", ())
    return loss.info is not None or (
        bool(terms) and all(_is_known(term) for _, term in terms)
    )


def sides_needed(needed: Collection[str], demonstrations: bool) -> int:
    """How many of `SIDES` a batch holds for a loss that reads these fields."""
    if demonstrations:
        return 1
    return 3 if "kl_logratios" in needed else 2


def loss_inputs(scores: Scores, batch: TrainBatch) -> PairLogps:
    """One part of a batch as losses take it.

    Demonstrations get an empty rejected response.
    """
    fields: dict[str, Any] = {}
    for side, name in enumerate(("chosen", "rejected")):
        fields |= _side(scores, batch, side, name)
    if batch.mask.shape[1] > 2 and batch.ref is not None:
        ratios = scores["logps"][:, 2] - batch.ref[:, 2]
        fields["kl_logratios"] = jnp.where(batch.mask[:, 2], ratios, 0).sum(-1)
    return PairLogps(**fields)


def _side(
    scores: Scores, batch: TrainBatch, side: int, name: str
) -> dict[str, Array | None]:
    pick: Callable[[Any], Any] = lambda leaf: leaf[:, side]  # noqa: E731
    if side >= batch.mask.shape[1]:
        pick = lambda leaf: jnp.zeros_like(leaf[:, 0, :1])  # noqa: E731
    squares = scores.get("logsumsq")
    return {
        name: pick(scores["logps"]),
        f"{name}_mask": pick(batch.mask),
        f"ref_{name}": None if batch.ref is None else pick(batch.ref),
        f"{name}_logsumsq": None if squares is None else pick(squares),
        f"{name}_keep": None if batch.keep is None else batch.keep[:, side],
    }


def with_draws(batch: TrainBatch, loss: BoundLoss, key: Array) -> TrainBatch:
    """The batch with SamPO's selection, where the loss reads one.

    It is drawn for all parts together, so that parts don't change it.
    """
    if "chosen_keep" not in loss.needs_fields:
        return batch
    whole = batch.joined()
    blank = jnp.zeros(whole.mask.shape, jnp.float32)
    kept = jnp.stack(draw_kept(loss_inputs({"logps": blank}, whole), key), axis=1)
    return replace(batch, keep=kept.reshape(*batch.mask.shape[:2], *kept.shape[1:]))
