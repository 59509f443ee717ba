"""The figure set of a drift analysis: complete, legible, about a pair that falls."""

import warnings

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.plotting import drift_figures, save_figure, waterfall_tokens
from gradlab.plotting.buckets import proportional
from gradlab.plotting.drift import falling_pair
from gradlab.tables import select
from tests.plotting.drawing import clipped, flaws, texts
from tests.plotting.drifts import LOSSES, UNDIVIDED, drift_pairs, drift_tokens
from tests.plotting.synthetic import NASTY, NASTY_LABELS

NAMES = ["agreement", "waterfall", "cases", "buckets"]


@pytest.fixture(scope="module")
def figures():
    return drift_figures(drift_tokens(), drift_pairs())


def test_the_set_has_paper_sizes(figures):
    assert list(figures) == NAMES
    for figure in figures.values():
        width, height = figure.get_size_inches()
        assert width == 6.75
        assert height <= 9.0


@pytest.mark.parametrize("name", NAMES)
def test_thirteen_losses_do_not_collide_and_nothing_is_cut_off(figures, name):
    assert flaws(figures[name]) == []


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_few_losses(count):
    losses = LOSSES[3 : 3 + count]
    set_ = drift_figures(drift_tokens(losses=losses), drift_pairs(losses=losses))
    for figure in set_.values():
        assert flaws(figure) == []


def test_smallest_type_is_legible(figures):
    for figure in figures.values():
        assert min(t.get_fontsize() for t in texts(figure)) >= 6


def test_losses_without_a_panel_are_counted(figures):
    assert len(figures["agreement"].axes) == 12
    assert "1 more loss(es) not shown" in figures["agreement"].get_supxlabel()


def test_one_pair_of_one_token():
    tokens = drift_tokens(((1, 1),), ("dpo",), prefix=0)
    set_ = drift_figures(tokens, drift_pairs(1, ("dpo",)))
    for figure in set_.values():
        assert flaws(figure) == []


def test_no_split_and_constant_keys():
    losses = (UNDIVIDED,)
    pairs = drift_pairs(losses=losses).assign(ches=1.0, ln_ches=np.nan)
    set_ = drift_figures(drift_tokens(losses=losses), pairs)
    assert "net (no split)" in {t.get_text() for t in texts(set_["waterfall"])}
    for figure in set_.values():
        assert flaws(figure) == []


def falls(losses=("dpo", "ipo")):
    """Nothing falls under the first loss, pairs 0, 1, 5 and 7 under the second."""
    pairs = drift_pairs(8, losses)
    falling = (pairs["loss"] == losses[1]) & pairs["pair"].isin([0, 1, 5, 7])
    predicted = np.where(falling, -1.0, 1.0)
    return pairs.assign(predicted_chosen=predicted, realised_chosen=predicted)


def test_the_pair_falls_under_the_loss():
    losses = ("dpo", "ipo")
    pair, loss = falling_pair(drift_tokens(losses=losses), falls(), losses)
    assert loss == "ipo"
    assert pair in (0, 1, 5)


def test_a_fall_that_the_step_bears_out_goes_first():
    losses, pairs = ("dpo", "ipo"), falls()
    pairs.loc[pairs["pair"] != 7, "realised_chosen"] = -50.0
    assert falling_pair(drift_tokens(losses=losses), pairs, losses) == (7, "ipo")


def test_clear_falls_go_before_tiny_ones():
    losses, pairs = ("dpo", "ipo"), falls()
    tiny = pairs["pair"].isin([0, 1]) & (pairs["loss"] == "ipo")
    for column in ("predicted_chosen", "realised_chosen"):
        pairs.loc[tiny, column] = -1e-9
    pair, _ = falling_pair(drift_tokens(losses=losses), pairs, losses)
    assert pair in (5, 7)


def test_a_loss_with_a_split_goes_first():
    losses = (UNDIVIDED, "ipo")
    pairs = falls(("ipo", UNDIVIDED))
    tokens = drift_tokens(losses=losses)
    assert falling_pair(tokens, pairs, losses)[1] == "ipo"
    pair, loss = falling_pair(select(tokens, loss=UNDIVIDED), pairs, [UNDIVIDED])
    assert (pair in (0, 1, 5), loss) == (True, UNDIVIDED)


def test_a_given_pair_is_kept():
    losses = ("dpo", "ipo")
    tokens, pairs = drift_tokens(losses=losses), falls()
    assert falling_pair(tokens, pairs, losses, 3) == (3, "dpo")
    assert falling_pair(tokens, pairs, losses, 7) == (7, "ipo")
    figure = drift_figures(tokens, pairs, pair=7)["waterfall"]
    assert any("ipo, predicted for pair 7" in t.get_text() for t in texts(figure))


def test_pairs_that_the_tokens_lack_are_not_shown():
    tokens = select(drift_tokens(losses=("dpo", "ipo")), pair=[5, 6])
    assert falling_pair(tokens, falls(), ("dpo", "ipo")) == (5, "ipo")


def test_untrusted_text_draws_without_a_warning(tmp_path):
    labels = dict(zip(LOSSES[3:7], NASTY_LABELS, strict=True))
    tokens, pairs = drift_tokens(losses=LOSSES[3:7]), drift_pairs(losses=LOSSES[3:7])
    tokens["token"] = [NASTY[t % len(NASTY)] for t in tokens["position"]]
    for table in (tokens, pairs):
        table["loss"] = table["loss"].map(labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, figure in drift_figures(tokens, pairs).items():
            save_figure(figure, tmp_path / name)
            assert clipped(figure) == []
            shown = "".join(t.get_text() for t in texts(figure))
            assert not {"\r", "\x00", "\u202e", "\u200b", "\ufffd"} & set(shown)


def drift_gram(tokens, seed: int = 0) -> pd.DataFrame:
    """Cosines between made-up gradients of these tokens."""
    keys = tokens[["side", "position", "token", "region"]]
    made = np.random.default_rng(seed).normal(size=(len(keys), 12))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    both = keys.merge(keys.add_prefix("other_"), how="cross")
    pair = tokens["pair"].iloc[0]
    return both.assign(pair=pair, cosine=(made @ made.T).ravel())


def test_the_gram_is_about_the_tokens_of_the_waterfall():
    tokens, pairs = drift_tokens(losses=("dpo",)), drift_pairs(losses=("dpo",))
    shown = waterfall_tokens(tokens, pairs, pair=3)  # of 90 and 60 tokens
    assert shown.groupby("side").size().tolist() == [48, 48]
    figures = drift_figures(tokens, pairs, pair=3, gram=drift_gram(shown))
    assert list(figures) == [*NAMES, "gram"]
    assert flaws(figures["gram"]) == []
    drawn = [t.get_text() for t in figures["waterfall"].axes[0].get_xticklabels()]
    assert len(drawn) == 48


def test_the_gram_shows_the_shared_beginning_once():
    tokens, pairs = drift_tokens(losses=("dpo",)), drift_pairs(losses=("dpo",))
    gram = drift_gram(waterfall_tokens(tokens, pairs, pair=0))
    mixed = gram.sample(frac=1, random_state=0)
    figure = drift_figures(tokens, pairs, pair=0, gram=mixed)["gram"]
    (image,) = figure.axes[0].images
    kept = [*range(18), *range(18 + 4, 38)]  # four of the rejected 20 are shared
    expected = gram["cosine"].to_numpy().reshape(38, 38)[np.ix_(kept, kept)]
    np.testing.assert_array_equal(image.get_array(), expected)
    assert "pair 0" in figure.get_suptitle()
    assert "shown once" in figure.get_suptitle()
    with pytest.raises(GradlabError, match=r"token gradients lacks .*cosine"):
        drift_figures(tokens, pairs, gram=gram.drop(columns="cosine"))


def test_losses_with_proportional_drifts_share_a_line():
    losses = ("dpo", "ipo", "mle", "my_pkg.my_mod:a_loss_of_mine")
    pairs = drift_pairs(losses=losses)
    drift = pairs.loc[pairs["loss"] == "dpo", "predicted_chosen"].to_numpy()
    for loss, factor in (("ipo", 200.0), ("mle", -1.0)):
        pairs.loc[pairs["loss"] == loss, "predicted_chosen"] = factor * drift
    groups = [["dpo", "ipo"], ["mle"], ["my_pkg.my_mod:a_loss_of_mine"]]
    assert proportional(pairs, losses, "predicted_chosen") == groups
    tokens = drift_tokens(losses=losses)
    legend = drift_figures(tokens, pairs)["buckets"].legends[0]
    assert legend.get_texts()[0].get_text() == "dpo, ipo"
    pairs.loc[pairs["loss"] == losses[3], "predicted_chosen"] = drift
    legend = drift_figures(tokens, pairs)["buckets"].legends[0]
    assert legend.get_texts()[0].get_text() == "dpo + 2 more"


def test_refusals():
    losses = ("dpo", "ipo")
    tokens, pairs = drift_tokens(losses=losses), drift_pairs(losses=losses)
    with pytest.raises(GradlabError, match=r"no loss 'dop'.*dpo"):
        drift_figures(tokens, pairs, losses=["dop"])
    with pytest.raises(GradlabError, match="pair 77 of the tokens table has no rows"):
        drift_figures(tokens, pairs, pair=77)
    with pytest.raises(GradlabError, match=r"the tokens table lacks .*by_rejected"):
        drift_figures(tokens.drop(columns="by_rejected"), pairs)
    with pytest.raises(GradlabError, match=r"the pairs table lacks .*score_cosine"):
        drift_figures(tokens, pairs.drop(columns="score_cosine"))
    with pytest.raises(GradlabError, match="no loss 'ipo'"):
        drift_figures(select(tokens, loss="dpo"), pairs)
