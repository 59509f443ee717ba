"""The length task: texts, labels, subsets, and what is measured of samples."""

import numpy as np
import pytest

from analyses.length_sensitivity import task, training
from analyses.length_sensitivity.cells import cells_of
from analyses.length_sensitivity.config import Config, Task
from analyses.length_sensitivity.losses import bound
from gradlab.errors import GradlabError

TASK = Task()


def test_responses_stop_and_stay_in_the_alphabet():
    rng = np.random.default_rng(0)
    made = [task.response(TASK, 4, rng) for _ in range(200)]
    for ids in made:
        assert ids[-1] == task.END
        assert task.END not in ids[:-1]
        assert 2 <= len(ids) <= TASK.longest + 1
        assert max(ids) < task.FIRST + TASK.symbols
    shares = [task.quality(np.array(ids[:-1]), 4) for ids in made]
    assert 0.4 < np.mean(shares) < 0.7  # uniform, and an eighth of the rest


def test_utility_likes_length_by_kappa():
    assert task.utility(TASK, 0.5, 12, 0.5) == 0.5
    assert task.utility(TASK, 0.5, 24, 0.5) == 1.0
    assert task.utility(TASK, 0.5, 24, -0.5) == 0.0


@pytest.mark.parametrize(("kappa", "sign"), [(0.5, 1), (-0.5, -1)])
def test_annotators_prefer_the_length_they_like(kappa, sign):
    pairs = task.make_pairs(TASK, kappa, 0, 200)
    assert sign * pairs.gap.mean() > 2
    assert (pairs.utilities[:, 0] > pairs.utilities[:, 1]).mean() > 0.75
    again = task.make_pairs(TASK, kappa, 0, 200)
    np.testing.assert_array_equal(again.arrays.chosen, pairs.arrays.chosen)


def test_subsets_differ_in_the_gap_and_not_in_size():
    pairs = task.make_pairs(TASK, 0.0, 0, 1024)
    found = {
        kind: task.subset(pairs, kind, 64, 4)
        for kind in ("chosen longer", "matched", "chosen shorter")
    }
    gaps = {
        k: np.asarray(v.chosen_length - v.rejected_length) for k, v in found.items()
    }
    assert (gaps["chosen longer"] >= 4).all()
    assert (gaps["chosen shorter"] <= -4).all()
    assert (np.abs(gaps["matched"]) <= 1).all()
    totals = [np.sum(v.chosen_length + v.rejected_length) for v in found.values()]
    assert max(totals) < 1.1 * min(totals)
    with pytest.raises(GradlabError, match="are matched, 900 are wanted"):
        task.subset(pairs, "matched", 900, 4)


def test_qualities_of_samples_by_hand():
    texts = np.array([[0, 5, 5, 5, 6, 1, 9], [0, 4, 4, 4, 4, 4, 4]])
    share, count = training.qualities(texts, np.array([4, 5]), np.array([True, False]))
    np.testing.assert_allclose(share, [2 / 3, 1.0])
    np.testing.assert_array_equal(count, [3, 5])


def test_settings_cover_what_the_claims_compare():
    cells = cells_of(Config())
    for cell in cells:
        bound(cell.loss, **cell.hyper)
    seen = {(c.loss, c.kind, c.kappa, c.rate) for c in cells}
    for loss, kind in (("dpo", "sum"), ("averaged_dpo", "avg_matched")):
        assert {(loss, kind, k, 1.0) for k in (0.5, 0.0, -0.5)} <= seen
        assert {(loss, kind, 0.5, r) for r in (0.25, 0.5, 2.0, 4.0)} <= seen
    matched = [c for c in cells if c.kind == "avg_matched" and c.loss == "averaged_dpo"]
    for cell in matched:
        assert cell.hyper["beta"] == pytest.approx(13.5 * cell.beta)
    assert len({c.keys["alpha_ld"] for c in cells if "alpha_ld" in c.keys}) == 5


def test_sizes():
    assert len(Config().seeds) == 5
    full = Config.full()
    assert len(full.seeds) == 10
    assert full.task.layers > Config().task.layers
    assert len(cells_of(full)) > len(cells_of(Config()))
