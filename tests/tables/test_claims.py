"""Verdicts by the rules of their types, and what is printed where nothing is known."""

import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.tables import CLAIM_COLUMNS, read_table
from gradlab.tables.claims import VERDICTS, Claim, claims_table, judge, undecided
from gradlab.tables.files import write_table
from gradlab.tables.intervals import rank_correlation

FEW = {"draws": 50}


def claim(kind, e=0.1):
    return Claim("T.1", "what is claimed", kind, e, source_tag="D")


def verdict(kind, samples, e=0.1, **options):
    return judge(claim(kind, e), "here", samples, **FEW, **options)["verdict"]


def seeds(mean, spread, count=5):
    """So many seeds with exactly this mean and standard deviation."""
    values = np.linspace(-1, 1, count)
    return mean + spread * values / values.std(ddof=1)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([0.0, 0.1], "reproduced"),
        ([0.0, 0.1001], "inconclusive"),
        ([0.0, -9.9], "inconclusive"),
        ([0.0, 10.1], "contradicted"),
        ([np.nan], "not testable"),
        ([0.05], "reproduced"),  # an identity needs no second seed
    ],
)
def test_identities(errors, expected):
    assert verdict("X", errors) == expected


def test_an_identity_without_tolerance_allows_no_exception():
    assert verdict("X", [[0, 0], [0]], e=0.0) == "reproduced"
    assert verdict("X", [[0, 0], [1]], e=0.0) == "contradicted"


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (seeds(0.5, 0.1), "reproduced"),
        (seeds(0.05, 0.001), "inconclusive"),  # detected, but smaller than e
        (seeds(0.5, 1.0), "inconclusive"),
        (seeds(-0.05, 0.001), "contradicted"),
        ([0.5], "no verdict"),
        ([0.5, np.nan], "not testable"),
    ],
)
def test_signs(samples, expected):
    assert verdict("S", samples) == expected


def test_a_sign_must_be_shared_by_four_of_five_seeds():
    samples = [1.0] * 18 + [-0.01] * 6
    row = judge(claim("S"), "here", samples, **FEW)
    assert row["ci_low"] > 0
    assert row["sign_agreement"] == 0.75
    assert row["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (seeds(0.0, 0.05), "reproduced"),
        (seeds(0.0, 0.5), "inconclusive"),
        (seeds(0.3, 0.05), "contradicted"),
        (seeds(-0.3, 0.05), "contradicted"),
        (seeds(0.09, 0.05), "inconclusive"),
    ],
)
def test_equivalence(samples, expected):
    assert verdict("Q", samples) == expected


def columns(rho_sign, noise, count=5):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 40))
    return np.stack([x, rho_sign * x + noise * rng.normal(size=x.shape)], axis=-1)


def test_orderings():
    options = {"statistic": rank_correlation, "e": 0.5}
    assert verdict("O", columns(1, 0.3), **options) == "reproduced"
    assert verdict("O", columns(1, 4.0), **options) == "inconclusive"
    assert verdict("O", columns(-1, 0.3), **options) == "contradicted"


def test_shapes_need_every_contrast():
    up, weak, down = seeds(1, 0.1), seeds(0.05, 0.01), seeds(-1, 0.1)
    assert verdict("H", {"rises": up, "then falls": up}) == "reproduced"
    assert verdict("H", {"rises": up, "then falls": weak}) == "inconclusive"
    assert verdict("H", {"rises": up, "then falls": down}) == "contradicted"
    # The opposite must itself be as large as e.
    assert verdict("H", {"rises": up, "then falls": -weak}) == "inconclusive"
    row = judge(claim("H"), "here", {"rises": up, "then falls": weak}, **FEW)
    assert row["effect"] == pytest.approx(0.05)
    assert "weakest: then falls; rises: 1;" in row["note"]


def test_a_contradicted_shape_shows_the_contrast_that_contradicts():
    wide, down = seeds(-0.6, 1.0), seeds(-0.5, 0.05)
    assert verdict("H", {"wide": wide}) == "inconclusive"
    row = judge(claim("H"), "here", {"wide": wide, "down": down}, **FEW)
    assert row["verdict"] == "contradicted"
    assert row["effect"] == pytest.approx(np.mean(down))
    assert row["ci_high"] < -0.1
    assert "against it: down; wide:" in row["note"]


def test_one_pretrained_model_is_said_so_and_prompts_may_decide():
    prompts = [np.random.default_rng(0).normal(1, 0.5, 40)]
    assert verdict("S", prompts) == "no verdict"
    assert verdict("S", prompts, one_model=True) == "reproduced (one model)"
    assert verdict("S", seeds(1, 0.1), one_model=True) == "reproduced (one model)"
    assert verdict("Q", prompts, one_model=True) == "contradicted (one model)"


def test_error_rates_of_the_sign_rule():
    """No effect: "reproduced" in at most 2.5 %. A true one is found."""
    rng = np.random.default_rng(5)
    rates = {}
    for truth in (0.0, 3.0):
        found = [verdict("S", rng.normal(truth, 1, 5), e=0.0) for _ in range(400)]
        rates[truth] = np.mean(np.array(found) == "reproduced")
    assert rates[0.0] < 0.025 + 4 * np.sqrt(0.025 * 0.975 / 400)
    assert rates[3.0] > 0.95


def test_a_bootstrap_made_elsewhere_is_kept():
    row = judge(claim("S"), "here", seeds(1, 0.1), boot=(0.25, 1.75), **FEW)
    assert (row["boot_low"], row["boot_high"]) == (0.25, 1.75)


def test_the_table_has_all_columns_and_what_was_not_measured(tmp_path):
    rows = [
        judge(claim("S"), "a", seeds(1, 0.5), **FEW),
        judge(claim("S"), "b", seeds(1, 0.9), **FEW),
        judge(claim("Q"), "c", seeds(0, 0.01), **FEW),
        judge(claim("X"), "d", [0.0]),
        undecided(claim("S"), "e", "skipped", "no such folder"),
        undecided(claim("S"), "f", "not testable", "needs judges"),
    ]
    table = claims_table(rows)
    assert tuple(table.columns) == CLAIM_COLUMNS
    assert list(table["verdict"][2:]) == [
        "reproduced", "reproduced", "skipped", "not testable"
    ]  # fmt: skip
    assert set(table["verdict"]) <= set(VERDICTS)
    raw = [row["p"] for row in rows[:2]]
    np.testing.assert_allclose(
        table["p_holm"][:2], [2 * raw[0], max(2 * raw[0], raw[1])]
    )
    assert table["p_holm"][2:].isna().all()
    assert list(table["survives_holm"][2:]) == [""] * 4
    write_table(table, tmp_path / "claims.csv")
    again = read_table(tmp_path / "claims.csv")
    assert list(again["note"]) == [*[""] * 4, "no such folder", "needs judges"]


def test_refusals():
    with pytest.raises(GradlabError, match=r"claim T.1: type 'Z'"):
        claim("Z")
    with pytest.raises(GradlabError, match="and e -1"):
        claim("S", -1)
    with pytest.raises(GradlabError, match="the reason"):
        undecided(claim("S"), "here", "skipped", "")
    with pytest.raises(GradlabError, match="the reason"):
        undecided(claim("S"), "here", "reproduced", "because")
    row = undecided(claim("S"), "here", "skipped", "no file")
    with pytest.raises(GradlabError, match="judged twice in the setting 'here'"):
        claims_table([row, row])
