"""Probes: fixed texts, statistics against the model's own logits, and their tables."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest

from gradlab.cli import main
from gradlab.errors import GradlabError
from gradlab.losses import resolve
from gradlab.training.batching import Batcher
from gradlab.training.config import ProbeSettings
from gradlab.training.forward import make_score
from gradlab.training.probe_files import due_steps
from gradlab.training.probe_sets import frozen_sets, probe_kinds
from gradlab.training.probe_stats import logp_change, token_columns
from gradlab.training.probe_tables import summary_table, text_table, token_table
from gradlab.training.step import Step, TrainState
from tests.training.cases import CONFIG, rows, tiny

ROWS = rows(9, seed=8)
MODEL, PARAMS = tiny()


def sets(kinds, seed=0):
    return frozen_sets(
        kinds,
        ROWS,
        vocab_size=CONFIG.vocab_size,
        seed=seed,
        generate=lambda rows, temperature: [[5, 6, int(temperature)] for _ in rows],
        column=lambda name: [[7] * len(name) for _ in ROWS],
    )


def test_statistics_are_those_of_the_logits():
    found = token_columns(MODEL, PARAMS, ROWS, batch_size=4, top_k=3)
    place = 0
    for row in ROWS:
        tokens = jnp.array([row.prompt + row.chosen])
        logps = jax.nn.log_softmax(MODEL.apply(PARAMS, tokens)[0])
        for position, token in enumerate(row.chosen):
            p = np.asarray(logps[len(row.prompt) - 1 + position], np.float64)
            expected = {
                "logp": p[token],
                "entropy": -(np.exp(p) * p).sum(),
                "max_logp": p.max(),
                "hit": float(p.argmax() == token),
                "top_k_mass": np.exp(np.sort(p)[-3:]).sum(),
            }
            for name, value in expected.items():
                assert found[name][place] == pytest.approx(value, abs=1e-5), name
            place += 1
    assert place == len(found["logp"])


def test_the_batch_size_does_not_matter():
    one, other = (
        token_columns(MODEL, PARAMS, ROWS, batch_size=n, top_k=2) for n in (1, 7)
    )
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-5)


def test_the_predicted_drift_is_the_realised_one_to_first_order():
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), PARAMS)
        score = make_score(MODEL, compute=jnp.float64)
        step = Step(score, resolve("dpo"), optax.sgd(1.0))
        batch = Batcher.of(ROWS, 2).batch(np.arange(4), _zeros())
        state = TrainState.start(params, step.optimiser)
        change = jax.jit(step.direction)(state, batch)[0]
        errors = []
        for size in (1e-5, 1e-6):
            scaled = jax.tree.map(lambda leaf, size=size: size * leaf, change)
            found = logp_change(MODEL, params, scaled, ROWS, batch_size=4)
            gap = np.abs(found["predicted"] - found["realised"]).max()
            errors.append(gap / np.abs(found["predicted"]).max())
    # The error is of second order: ten times smaller steps, ten times smaller share.
    assert errors[0] < 0.1
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.1)


def _zeros():
    return [[np.zeros(len(r.chosen)), np.zeros(len(r.rejected))] for r in ROWS]


def test_kinds_of_texts():
    kinds = "chosen,rejected,truncated,edited,irrelevant,permuted,random,sample,argmax"
    found = sets([*kinds.split(","), "column:name"])
    for place, row in enumerate(ROWS):
        texts = {kind: part[place].chosen for kind, part in found.items()}
        assert all(part[place].prompt == row.prompt for part in found.values())
        assert texts["chosen"] == row.chosen
        assert texts["rejected"] == row.rejected
        half = texts["truncated"]
        assert half == row.chosen[: len(half)]
        assert len(half) == (len(row.chosen) + 1) // 2
        changed = sum(a != b for a, b in zip(texts["edited"], row.chosen, strict=True))
        assert changed == max(1, round(0.15 * len(row.chosen)))
        assert texts["irrelevant"] == ROWS[(place + 5) % 9].chosen
        assert sorted(texts["permuted"]) == sorted(row.chosen)
        assert len(texts["random"]) == len(row.chosen)
        assert texts["sample"][-1] == 1
        assert texts["argmax"][-1] == 0
        assert texts["column:name"] == [7] * 4


def test_texts_depend_on_the_seed_and_not_on_the_other_kinds():
    alone, beside = sets(["random"]), sets(["edited", "random"])
    assert alone["random"] == beside["random"]
    assert alone["random"] != sets(["random"], seed=1)["random"]


def test_kinds_that_do_not_exist_are_refused():
    assert probe_kinds("chosen, column:x,") == ["chosen", "column:x"]
    with pytest.raises(GradlabError, match=r"probes.kinds is 'choosen'; expected some"):
        probe_kinds("choosen")
    with pytest.raises(GradlabError, match="each kind once"):
        probe_kinds("chosen,chosen")


def test_measured_steps_begin_at_0_and_end_with_the_last():
    assert due_steps(ProbeSettings(every=4), 10) == [0, 4, 8, 10]
    steps = due_steps(ProbeSettings(evaluations=20), 500)
    assert steps[0] == 0
    assert steps[-1] == 500
    assert 12 <= len(steps) <= 21


def test_tables_keep_probes_apart_and_add_up():
    """Two probes of different values: each row describes its own."""
    tables = []
    for step, drift in ((0, 0.0), (3, 0.5)):
        for probe, sign in (("chosen", 1), ("rejected", -1)):
            texts = sets([probe])[probe]
            count = sum(len(row.chosen) for row in texts)
            columns = {
                "logp": np.full(count, -2.0 + sign + drift * sign),
                "drift": np.full(count, drift * sign),
                "entropy": np.full(count, 0.1),
                "max_logp": np.full(count, -0.5),
                "hit": np.zeros(count),
            }
            tables.append(token_table(step, probe, texts, columns))
    texts = text_table(pd.concat(tables))
    assert len(texts) == 2 * 2 * 9
    one = texts[(texts["step"] == 3) & (texts["probe"] == "rejected")].set_index("row")
    for row in ROWS:
        n = len(row.rejected)
        assert one.loc[row.row, "len"] == n
        assert one.loc[row.row, "logp_sum"] == pytest.approx(-3.5 * n)
        assert one.loc[row.row, "logp_mean"] == pytest.approx(-3.5)
        assert one.loc[row.row, "drift_sum"] == pytest.approx(-0.5 * n)
    summary = summary_table(texts)
    key = ["step", "probe", "metric", "statistic"]
    assert not summary.duplicated(key).any()
    value = summary.set_index(key)["value"]
    assert value[3, "chosen", "drift_mean", "mean"] == pytest.approx(0.5)
    assert value[3, "chosen", "below_start", "mean"] == 0
    assert value[3, "rejected", "below_start", "mean"] == 1
    margins = [-0.5 * len(r.chosen) + 3.5 * len(r.rejected) for r in ROWS]
    found = value[3, "chosen-rejected", "logp_sum_margin", "mean"]
    assert found == pytest.approx(np.mean(margins))
    found = value[3, "chosen-rejected", "accuracy", "mean"]
    assert found == pytest.approx(np.mean(np.array(margins) > 0))


def test_a_run_writes_its_probes(place, tmp_path):
    out = tmp_path / "run"
    kinds = "chosen,rejected,argmax,on_policy,permuted,column:prompt"
    more = ["--probes.kinds", kinds, "--probes.predict", "--probes.pairs", "5"]
    more += ["--probes.max-new-tokens", "8", "--probes.every", "3"]
    assert main(place.arguments(out, *more)) == 0
    texts = pd.read_parquet(out / "probes.parquet")
    assert sorted(texts["step"].unique()) == [0, 3, 6]
    assert set(texts["probe"]) == set(kinds.split(","))
    frozen = texts[texts["probe"] != "on_policy"]
    assert (frozen.loc[frozen["step"] == 0, "drift_sum"] == 0).all()
    assert (frozen.loc[frozen["step"] == 6, "drift_sum"] != 0).any()
    assert texts.loc[texts["probe"] == "on_policy", "drift_sum"].isna().all()
    coming = frozen[frozen["step"] == 3].dropna(subset=["predicted_sum"])
    assert len(coming) == len(frozen) / 3
    assert np.corrcoef(coming["predicted_sum"], coming["realised_sum"])[0, 1] > 0.9
    tokens = pd.read_parquet(out / "probe_tokens.parquet")
    sums = tokens.groupby(["step", "probe", "row"])["logp"].sum()
    expected = texts.set_index(["step", "probe", "row"])["logp_sum"]
    np.testing.assert_allclose(sums.sort_index(), expected.sort_index(), rtol=1e-6)
    summary = pd.read_csv(out / "probes.csv")
    assert {"accuracy", "below_start", "logp_sum"} <= set(summary["metric"])
