"""Tables of a comparison from hand-made scores."""

import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.comparison.frames import regions_of, summary_frame, token_frame, with_loss
from gradlab.comparison.weighing import weigh
from gradlab.errors import GradlabError
from gradlab.inputs.scored import ScoredPairs, ScoredSide, kept_tokens
from gradlab.losses import LOSSES, resolve


def side(rng, ids):
    width = max(map(len, ids))
    mask = np.array([[t < len(row) for t in range(width)] for row in ids])
    padded = np.array([row + [0] * (width - len(row)) for row in ids], np.int32)
    logps = np.where(mask, -rng.exponential(1, mask.shape), 0).astype(np.float32)
    return ScoredSide(
        ids=padded,
        mask=mask,
        logps=logps,
        ref_logps=np.where(mask, logps - 0.1, 0),
        entropy=np.ones_like(logps),
        log_sum_sq=np.where(mask, 2 * logps, 0) * 0.9,
        max_logp=logps,
        argmax=padded,
    )


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    return ScoredPairs(
        chosen=side(rng, [[1, 2, 3], [4, 5], [1, 2, 3, 4]]),
        rejected=side(rng, [[1, 2, 9, 9], [6, 5], [1, 9, 3, 4]]),
        rows=np.array([2, 3, 7]),
    )


def texts(ids):
    return [f"<{i}>" for i in ids]


def test_one_row_per_token(scored):
    frame = token_frame(scored, regions_of(scored), texts)
    assert len(frame) == 3 + 2 + 4 + 4 + 2 + 4
    first = frame[(frame["pair"] == 0) & (frame["side"] == "rejected")]
    assert first["token"].tolist() == ["<1>", "<2>", "<9>", "<9>"]
    assert first["region"].tolist() == ["prefix", "prefix", "first", "middle"]
    assert first["position"].tolist() == [0, 1, 2, 3]
    assert first["row"].tolist() == [2] * 4
    np.testing.assert_allclose(first["logp"], scored.rejected.logps[0])


def test_a_loss_adds_its_weights_in_the_same_order(scored):
    dpo, mle = weigh(scored, [resolve("dpo"), resolve("mle")])
    frame = token_frame(scored, regions_of(scored), texts)
    rows = with_loss(frame, scored, mle, ["dpo", "mle"])
    assert set(rows["loss"]) == {"mle"}
    assert rows[rows["side"] == "chosen"]["weight"].tolist() == [-1.0] * 9
    assert (rows[rows["side"] == "rejected"]["weight"] == 0).all()
    rows = with_loss(frame, scored, dpo, ["dpo", "mle"])
    one = rows[(rows["pair"] == 2) & (rows["side"] == "rejected")]
    np.testing.assert_array_equal(one["weight"], dpo.weights["rejected"][2])
    np.testing.assert_array_equal(
        one["logit_grad_norm"], dpo.logit_norms["rejected"][2]
    )


def test_summary_by_hand(scored):
    weighed = weigh(scored, [resolve(x) for x in ("mle", "dpo", "mle(reduction=mean)")])
    table = summary_frame(scored, regions_of(scored), weighed).set_index("loss")
    mle = table.loc["mle"]
    assert mle["mass_chosen"] == 3.0  # (3 + 2 + 4) / 3
    assert mle["mass_rejected"] == 0.0
    assert mle["ratio_bad_good"] == 0.0
    np.testing.assert_allclose(mle["share_before"], (2 + 0 + 1) / 9)
    np.testing.assert_allclose(mle["share_at"], 3 / 9)
    np.testing.assert_allclose(mle["share_after"], (0 + 1 + 2) / 9)
    assert table.loc["dpo", "closed_form_error"] < 1e-14
    shares = table[["share_before", "share_at", "share_after"]].sum(axis=1)
    np.testing.assert_allclose(shares, 1)
    assert not table["coupled"].any()


def test_constant_mass_has_no_correlation(scored):
    """Rounding noise of a constant must not pass for a correlation."""
    losses = [resolve(n) for n in ("averaged_dpo", "dpo")]
    equal = ScoredPairs(scored.chosen, scored.rejected, scored.rows)
    for s in (equal.chosen, equal.rejected):
        s.ref_logps[:] = s.logps
    table = summary_frame(equal, regions_of(equal), weigh(equal, losses))
    assert np.isnan(table["corr_length"][0])
    np.testing.assert_allclose(table["corr_length"][1], 1.0)


def test_every_loss_of_the_table_can_be_weighed(scored):
    from dataclasses import replace

    scored = replace(scored, kl_logratios=np.zeros(3))
    names = [n for n in LOSSES if not any(_required(n))]
    for weights in weigh(scored, [resolve(n) for n in names]):
        error = weights.closed_form_error
        assert error < 1e-12, weights.loss.label


def _required(name):
    import inspect

    return [v is inspect.Parameter.empty for v in LOSSES[name].defaults.values()]


def test_sampo_keeps_as_many_tokens_as_the_shorter_side(scored):
    one, two = kept_tokens(scored.chosen.mask, scored.rejected.mask, seed=1)
    assert one.sum(1).tolist() == two.sum(1).tolist() == [3, 2, 4]
    assert not (one & ~scored.chosen.mask).any()
    assert not (two & ~scored.rejected.mask).any()
    other, _ = kept_tokens(scored.rejected.mask, scored.chosen.mask, seed=2)
    assert (two != other).any()


def bad_shape(pairs):
    return pairs.chosen.sum()


def not_finite(pairs):
    return pairs.chosen.sum(-1) / 0.0


def steep(pairs):
    return jnp.sqrt(0.0 * pairs.rejected.sum(-1))  # 0, at the end of its slope


def huge(pairs):
    return 1e300 * pairs.chosen.sum(-1)


def test_refused_losses(scored):
    with pytest.raises(GradlabError, match=r"bad_shape' returned shape \(\); expected"):
        weigh(scored, [resolve(bad_shape)])
    with pytest.raises(GradlabError, match=r"is -?(inf|nan) on pair 0 \(row 2\)"):
        weigh(scored, [resolve(not_finite)])
    with pytest.raises(GradlabError, match=r"weight on rejected tokens that is nan on"):
        weigh(scored, [resolve(steep)])
    with pytest.raises(
        GradlabError, match=r"is -\S+e\+30\d on pair .*at most 3.4e\+38"
    ):
        weigh(scored, [resolve(huge)])
