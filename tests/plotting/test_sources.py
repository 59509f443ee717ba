"""Source data: every figure has its rows, and they are the table's."""

import numpy as np
import pandas as pd
import pytest

from gradlab.plotting import (
    comparison_figures,
    comparison_sources,
    drift_figures,
    drift_sources,
    length_figures,
    length_sources,
)
from gradlab.plotting.pairs import example_pair
from gradlab.tables import select
from tests.plotting.drifts import drift_pairs, drift_tokens
from tests.plotting.synthetic import LOSSES, summary_table, tokens_table
from tests.plotting.test_lengths import pairs_table
from tests.plotting.test_lengths import summary_table as length_summary


@pytest.fixture(scope="module")
def compared():
    losses = LOSSES[:3]
    return tokens_table(losses=losses), summary_table(losses)


def test_of_a_comparison(compared):
    tokens, summary = compared
    found = comparison_sources(tokens, summary)
    assert list(found) == list(comparison_figures(tokens, summary))
    rows = select(tokens, pair=example_pair(tokens))
    for name in ("token_weights", "token_heat"):
        assert found[name]["weight"].tolist() == rows["weight"].tolist()
        assert found[name]["token"].tolist() == rows["token"].tolist()
    bad = select(tokens, side="rejected")
    assert found["penalty"]["logp"].tolist() == bad["logp"].tolist()
    assert found["mass"]["mass_chosen"].tolist() == summary["mass_chosen"].tolist()
    other = comparison_sources(tokens, summary, pair=1)["token_weights"]
    assert other["position"].tolist() == select(tokens, pair=1)["position"].tolist()


def test_of_a_drift():
    tokens, pairs = drift_tokens(), drift_pairs()
    gram = pd.DataFrame({"cosine": [0.5]})
    found = drift_sources(tokens, pairs, gram=gram)
    assert list(found) == [*drift_figures(tokens, pairs), "gram"]
    shown = set(found["agreement"]["loss"])
    assert shown == set(pd.unique(pairs["loss"])[:12])
    assert found["waterfall"].groupby(["loss"], observed=True).ngroups == 1
    parts = found["waterfall"][["by_chosen", "by_rejected"]].sum(axis=1)
    np.testing.assert_allclose(parts, found["waterfall"]["predicted"])
    assert found["cases"]["case"].equals(pairs["case"])
    assert found["gram"] is gram


def test_of_lengths():
    pairs, summary = pairs_table(), length_summary()
    found = length_sources(pairs, summary)
    assert list(found) == list(length_figures(pairs, summary))
    assert {"rho_margin", "rho_margin_low"} <= set(found["correlations"].columns)
    assert len(found["weights"]) == len(found["maps"]) == len(pairs)
