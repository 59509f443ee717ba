"""What the losses' forms say without a model: curves to draw, identities to check.

Symbols as in `gradlab.losses.likelihood`; w is dL/dlogp of a token. Errors are relative
where the exact value is neither 0 nor bounded.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.rows import Row, row
from analyses.gradient_framework.config import Config
from gradlab.gradients import token_weights
from gradlab.types import PairLogps

CURVES = {
    "mle": "mle",
    "unlikelihood (token)": "unlikelihood_token",
    "unlikelihood (sequence)": "unlikelihood_sequence",
    "exmate (token)": "exmate(reduction=token, lam=1)",
    "exmate (mean)": "exmate(reduction=mean, lam=1)",
    "exmate (sum)": "exmate(reduction=sum, lam=1)",
    "exmate (batch, .05)": "exmate(reduction=batch, lam=0.05)",
    "mate (sum, .5)": "mate(reduction=sum, lam=0.5)",
    "dpo": "dpo",
    "dpo + mle": "dpo + mle",
    "dpo + exmate (token)": "dpo + exmate(reduction=token, lam=1)",
}
ODDS = np.linspace(-14, 14, 113)  # log-odds of a token
SHOWN_ODDS = np.linspace(-9, 9, 61)
SHOWN_LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128)
REFERENCE_P = 0.1  # the reference's probability of the bad token
FORK = (0.25, 0.2, 0.4)  # good, bad and third token at the first difference
ALPHAS, LAMS = (0.5, 1.0, 2.0), (0.05, 0.2, 1.0)
LENGTHS = range(1, 129)
LOGP = -0.5  # per token, where the length grows


def pair_weights(
    loss: str, chosen, rejected, *, lengths=None, ref_rejected=None
) -> tuple[np.ndarray, np.ndarray]:
    """Token weights of N pairs, each a batch of its own.

    Args:
      loss: as `gradlab.losses.resolve` reads it.
      chosen: [N, T] or [T] log-probabilities; the reference is the policy.
      rejected: [N, T'] or [T'].
      lengths: [N] tokens of both responses; all by default.
      ref_rejected: [N, T'] the reference's, where it is another.

    Returns:
      [N, T] and [N, T'].
    """
    one, two = np.atleast_2d(chosen), np.atleast_2d(rejected)
    ref = two if ref_rejected is None else np.atleast_2d(ref_rejected)
    lengths = np.array([10**6]) if lengths is None else np.asarray(lengths)
    count = max(len(one), len(two), len(lengths))

    def single(one, two, ref, length):
        kept, rest = (jnp.arange(len(side)) < length for side in (one, two))
        pair = PairLogps(one, two, kept, rest, one, ref)
        found = token_weights(loss, jax.tree.map(lambda leaf: leaf[None], pair))
        return found.chosen[0], found.rejected[0]

    given = [
        jnp.asarray(np.broadcast_to(side, (count, side.shape[-1])), float)
        for side in (one, two, ref)
    ]
    lengths = jnp.asarray(np.broadcast_to(lengths, count))
    found = jax.vmap(single)(given[0], given[1], given[2], lengths)
    return np.asarray(found[0]), np.asarray(found[1])


def curve_rows(config: Config) -> Iterator[Row]:
    """What the figures draw of the forms alone.

    Yields:
      penalty_weight: weight of a bad token against its probability p.
      prefix_net_weight: of a token of probability p that both responses share.
      weight_by_length: summed over a bad example of so many tokens.
      logit_gradient: dL/dlogit at the first difference, by region.
    """
    seed = config.seeds[0]
    p = 1 / (1 + np.exp(-SHOWN_ODDS))
    for label, loss in CURVES.items():
        keys = {"loss": label, "kind": "curve", "seed": seed}
        ref = np.full((1, 1), np.log(REFERENCE_P))
        bad = pair_weights(loss, [-0.7], np.log(p)[:, None], ref_rejected=ref)[1][:, 0]
        shared = net_prefix(loss, p[:, None])[:, 0]
        for where, penalty, net in zip(p, bad, shared, strict=True):
            yield row("penalty_weight", penalty, p=where, **keys)
            yield row("prefix_net_weight", net, p=where, **keys)
        totals = _totals(loss, SHOWN_LENGTHS)
        for length, total in zip(SHOWN_LENGTHS, totals, strict=True):
            yield row("weight_by_length", total, length=length, **keys)
        for region, value in logit_gradient(loss).items():
            yield row("logit_gradient", value, region=region, **keys)


def net_prefix(loss: str, p: np.ndarray) -> np.ndarray:
    """[N, T] net weight of T shared tokens; the chosen response is one longer."""
    logp = np.log(p)

    def followed(*tail: float) -> np.ndarray:
        return np.concatenate([logp, np.tile(tail, (len(logp), 1))], axis=1)

    chosen, rejected = pair_weights(loss, followed(-0.7, -0.7), followed(-1.2))
    return chosen[:, : p.shape[1]] + rejected[:, : p.shape[1]]


def _totals(loss: str, lengths) -> np.ndarray:
    """[N] weight on a bad example of so many tokens, beside as long a good one."""
    logps = np.full((1, max(lengths)), LOGP)
    return pair_weights(loss, logps, logps, lengths=lengths)[1].sum(1)


def logit_gradient(loss: str) -> dict[str, float]:
    """dL/dlogit of good, bad and third token at the first difference, and of the rest.

    A weight w on a token gives w (onehot - p); one-token responses.
    """
    chosen, rejected = pair_weights(loss, [np.log(FORK[0])], [np.log(FORK[1])])
    own = {"good": chosen[0, 0], "bad": rejected[0, 0], "third": 0.0, "rest": 0.0}
    net, probabilities = chosen[0, 0] + rejected[0, 0], (*FORK, 1 - sum(FORK))
    return {
        region: float(weight - net * p)
        for (region, weight), p in zip(own.items(), probabilities, strict=True)
    }


def relative(found: np.ndarray, exact: np.ndarray | float) -> np.ndarray:
    """found / exact - 1."""
    return found / exact - 1


def identity_rows(config: Config) -> Iterator[Row]:
    """The largest error of every identity of S1.6 to S1.8."""
    parts = {"S1.6": penalty_errors(), "S1.7": length_errors(), "S1.8": prefix_errors()}
    for claim, errors in parts.items():
        for name, values in errors.items():
            yield row(
                "error", np.abs(values).max(), part=claim, loss=name, kind="exact",
                seed=config.seeds[0],
            )  # fmt: skip


def penalty_errors() -> dict[str, np.ndarray]:
    """S1.6: unlikelihood weighs by the odds, ExMATE by p, DPO by at most beta."""
    logp, odds = -np.log1p(np.exp(-ODDS)), np.exp(ODDS)
    token = {
        name: pair_weights(name, [-0.7], logp)[1][0]
        for name in ("unlikelihood_token", "exmate(reduction=token, lam=1)")
    }
    unlikelihood, exmate = token.values()
    now, ref = (x.reshape(-1, 1) for x in np.meshgrid(logp, logp))
    dpo = np.stack(
        [
            pair_weights(f"dpo(beta={beta})", [-0.7], now, ref_rejected=ref)[1] / beta
            for beta in (0.1, 1.0)
        ]
    )
    return {
        "unlikelihood = odds": relative(unlikelihood, odds),
        "exmate = p": relative(exmate, 1 / (1 + np.exp(-ODDS))),
        "dpo at most beta": np.maximum(dpo - 1, 0),
        "dpo not negative": np.minimum(dpo, 0),
        "unlikelihood at least exmate": np.maximum(exmate - unlikelihood, 0),
    }


def length_errors() -> dict[str, np.ndarray]:
    """S1.7: summed forms fall as exp(T l); mean and token forms do not fall."""
    length = np.array(LENGTHS)
    per_token = {
        name: _totals(name, LENGTHS) / length
        for name in (
            "exmate(reduction=sum, lam=1)", "unlikelihood_sequence",
            "exmate(reduction=mean, lam=1)", "exmate(reduction=token, lam=1)",
        )
    }  # fmt: skip
    summed, sequence, mean, token = per_token.values()
    return {
        "exmate, sum": relative(summed, np.exp(LOGP * length)),
        "unlikelihood, sequence": relative(sequence, 1 / np.expm1(-LOGP * length)),
        "exmate, mean": relative(mean * length, np.exp(LOGP)),
        "exmate, token": relative(token, np.exp(LOGP)),
        "log weight linear in T": np.diff(np.log(summed), 2),
    }


def prefix_errors() -> dict[str, np.ndarray]:
    """S1.8: net weight of a token that both responses share.

    0 under DPO; -1 + alpha odds under unlikelihood, hence 0 at p = 1/(1 + alpha);
    -1 + lam p under ExMATE, never positive for lam <= 1.
    """
    probabilities = 1 / (1 + np.exp(-ODDS))

    def net(loss: str, p: np.ndarray) -> np.ndarray:
        return net_prefix(loss, p[None])[0]

    found = {"dpo": net("dpo", probabilities)}
    for alpha in ALPHAS:
        loss, pin = f"unlikelihood_token(alpha={alpha})", 1 / (1 + alpha)
        around = net(loss, np.array([pin, 0.99 * pin, 1.01 * pin]))
        found[f"unlikelihood {alpha:g} at 1/(1+alpha)"] = around[:1]
        wrong = np.sign(around[1:]) != [-1, 1]
        found[f"unlikelihood {alpha:g}, signs beside it"] = wrong.astype(float)
    for lam in LAMS:
        weights = net(f"exmate(reduction=token, lam={lam})", probabilities)
        found[f"exmate {lam:g}"] = weights - (-1 + lam * probabilities)
        found[f"exmate {lam:g} raises"] = np.maximum(weights, 0)
    return found
