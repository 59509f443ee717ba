"""The study runs, its exact part says what the algebra says, its table is committed."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analyses.__main__ import STUDIES, TABLES, main, run
from analyses.gradient_comparison import Config
from gradlab.errors import GradlabError
from gradlab.tables import check_study_table, read_table

TABLE = TABLES / "gradient_comparison.csv"


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    path = run("gradient_comparison", "smoke", tmp_path_factory.mktemp("tables"))
    return read_table(path)


def test_smoke_writes_a_study_table(smoke):
    check_study_table(smoke)
    metrics = set(smoke["metric"])
    assert {"weight", "logit_grad_norm", "logp", "mass_chosen", "share_at"} <= metrics
    assert {"penalty_weight", "weight_by_length", "logit_gradient"} <= metrics


def rows(table: pd.DataFrame, metric: str, loss: str) -> pd.DataFrame:
    chosen = table[(table["metric"] == metric) & (table["loss"] == loss)]
    assert len(chosen), (metric, loss)
    return chosen


def test_penalty_against_probability(smoke):
    """Unlikelihood: the odds. ExMATE by token: p itself. DPO: beta s(log(p / ref))."""
    p = np.array([0.1, 0.5, 0.9])
    odds = rows(smoke, "penalty_weight", "unlikelihood_token")
    np.testing.assert_allclose(odds["value"], p / (1 - p))
    exmate = rows(smoke, "penalty_weight", "exmate (token)")
    np.testing.assert_allclose(exmate["value"], p)
    dpo = rows(smoke, "penalty_weight", "dpo")
    ratio = 0.1 * np.log(p / Config().reference_p)
    np.testing.assert_allclose(dpo["value"], 0.1 / (1 + np.exp(-ratio)))


def test_shared_tokens(smoke):
    dpo = rows(smoke, "prefix_net_weight", "dpo")
    np.testing.assert_allclose(dpo["value"], 0, atol=1e-15)
    averaged = rows(smoke, "prefix_net_weight", "averaged_dpo")
    np.testing.assert_allclose(averaged["value"], 0.05 * (1 / 2 - 1 / 3))
    token = rows(smoke, "prefix_net_weight", "exmate (token)")
    np.testing.assert_allclose(token["value"], token["p"] - 1)


def test_weight_against_length(smoke):
    by_sum = rows(smoke, "weight_by_length", "exmate (sum)")
    length = by_sum["length"].to_numpy(float)
    np.testing.assert_allclose(by_sum["value"], length * np.exp(-0.5 * length))
    mean = rows(smoke, "weight_by_length", "exmate (mean)")
    np.testing.assert_allclose(mean["value"], np.exp(-0.5))


def test_logits_at_the_first_difference(smoke):
    """A plain margin loss touches no third token; the four parts add up to 0."""
    table = smoke[smoke["metric"] == "logit_gradient"]
    np.testing.assert_allclose(table.groupby("loss")["value"].sum(), 0, atol=1e-15)
    dpo = rows(table, "logit_gradient", "dpo").set_index("region")["value"]
    np.testing.assert_allclose(dpo[["third", "rest"]], 0, atol=1e-15)
    assert dpo["good"] < 0 < dpo["bad"]


def test_the_committed_table_is_that_of_the_code():
    table = read_table(TABLE)
    check_study_table(table)
    manifest = json.loads(TABLE.with_suffix(".json").read_text())
    expected = json.loads(json.dumps(asdict(Config())))
    assert manifest["config"] == expected
    assert set(table["seed"]) == set(Config().seeds)
    errors = table[table["metric"] == "closed_form_error"]["value"]
    assert errors.max() < 1e-12


def test_exact_part_of_the_committed_table_can_be_recomputed():
    from analyses import gradient_comparison as study

    config = replace(Config(), seeds=())
    import jax

    with jax.enable_x64(True):
        fresh = pd.DataFrame(list(study.penalty_weights(config)))
    committed = read_table(TABLE)
    committed = committed[committed["metric"] == "penalty_weight"]
    np.testing.assert_allclose(committed["value"], fresh["value"], rtol=1e-12)


def test_listing_and_unknown_names(capsys):
    main()
    listed = capsys.readouterr().out
    assert all(name in listed for name in STUDIES)
    with pytest.raises(GradlabError, match="did you mean gradient_comparison"):
        run("gradient_comparsion", "smoke", Path("unused"))
