"""Buckets: equal counts, ties together, means and intervals by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gradlab.errors import GradlabError
from gradlab.plotting import plot_buckets
from gradlab.plotting.buckets import bucket_of
from tests.plotting.drawing import flaws, texts
from tests.plotting.drifts import drift_pairs


def table(keys, values, loss="dpo") -> pd.DataFrame:
    pair = np.arange(len(keys))
    return pd.DataFrame({"loss": loss, "pair": pair, "ches": keys, "drift": values})


def plot(pairs, **options):
    return plot_buckets(pairs, key="ches", value="drift", **options)


def line(ax, number=0):
    drawn = [li for li in ax.lines if li.get_marker() not in ("None", "", None)]
    return np.asarray(drawn[number].get_ydata())


def test_buckets_hold_equally_many():
    keys = np.random.default_rng(0).normal(size=100)
    found = bucket_of(keys, 5)
    assert np.bincount(found).tolist() == [20] * 5
    assert (np.diff(found[np.argsort(keys)]) >= 0).all()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([3.0] * 6, [0] * 6),
        ([1.0, 2.0], [0, 1]),
        ([0.0] * 9 + [1.0], [0] * 9 + [1]),
        ([7.0], [0]),
        ([], []),
    ],
)
def test_ties_share_a_bucket_and_none_is_empty(keys, expected):
    assert bucket_of(np.array(keys), 5).tolist() == expected


def test_many_ties_leave_no_empty_bucket():
    keys = np.array([0.0] * 50 + list(range(1, 20)))
    found = bucket_of(keys, 5)
    assert set(found) == set(range(found.max() + 1))
    assert len(set(found[:50])) == 1


def test_means_and_intervals_by_hand():
    ax = plot(table([1, 2, 3, 4, 5, 6], [1.0, 2.0, 3.0, 5.0, 5.0, 8.0]), buckets=2)
    np.testing.assert_allclose(line(ax), [2.0, 6.0])
    segments = [s[:, 1] for c in ax.collections for s in c.get_segments()]
    for values, drawn in zip(([1, 2, 3], [5, 5, 8]), segments, strict=True):
        expected = stats.t.interval(
            0.95, 2, loc=np.mean(values), scale=stats.sem(values)
        )
        np.testing.assert_allclose(drawn, expected)
    labels = [t.get_text() for t in ax.get_xticklabels()]
    assert labels == ["2\n(3)", "5\n(3)"]


def test_relative_values_have_a_mean_square_of_one_and_keep_their_sign():
    pairs = pd.concat(
        [table([1, 2], [-3.0, -4.0]), table([1, 2], [-3e6, -4e6], loss="ipo")]
    )
    ax = plot(pairs, relative=True)
    np.testing.assert_allclose(line(ax, 0), [-3 / np.sqrt(12.5), -4 / np.sqrt(12.5)])
    np.testing.assert_allclose(line(ax, 0), line(ax, 1))
    flat = plot(table([1, 2], [0.0, 0.0]), relative=True)
    np.testing.assert_array_equal(line(flat), 0)


def test_rows_that_are_not_finite_are_left_out():
    pairs = table([1, 2, np.nan, 3], [1.0, 2.0, 9.0, np.nan])
    np.testing.assert_allclose(line(plot(pairs)), [1.0, 2.0])
    empty = plot(pairs.assign(ches=np.nan))
    assert "no pair has a finite value" in {t.get_text() for t in texts(empty.figure)}


@pytest.mark.parametrize("key", ["ln_ches", "ches", "edit_token", "score_cosine"])
@pytest.mark.parametrize("relative", [False, True])
def test_thirteen_losses_do_not_collide(key, relative):
    ax = plot_buckets(drift_pairs(), key=key, relative=relative)
    assert flaws(ax.figure) == []


def test_one_pair_a_constant_key_and_categories():
    assert flaws(plot(table([1.0], [0.2])).figure) == []
    assert flaws(plot(table([1.0] * 5, np.arange(5.0))).figure) == []
    pairs = pd.concat([table([1, 2], [1.0, 2.0]), table([1, 2], [3.0, 4.0], "ipo")])
    ax = plot(pairs.astype({"loss": "category"}), losses=["ipo"])
    np.testing.assert_allclose(line(ax), [3.0, 4.0])


def test_refusals():
    pairs = table([1, 2], [1.0, 2.0])
    with pytest.raises(GradlabError, match=r"lacks the column\(s\) ln_ches"):
        plot_buckets(pairs, value="drift")
    with pytest.raises(GradlabError, match="buckets is 0"):
        plot(pairs, buckets=0)
    with pytest.raises(GradlabError, match="no loss 'ipo'"):
        plot(pairs, losses=["ipo"])
