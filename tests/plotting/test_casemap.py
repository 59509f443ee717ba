"""The case map: its regions are those of the entanglement conditions."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from gradlab.errors import GradlabError
from gradlab.measures import ScoreProducts, entanglement, influence_of_sums
from gradlab.plotting.casemap import plot_case_map
from gradlab.plotting.cases import CASE_LOOK
from tests.plotting.drawing import flaws

CODES = {"ideal": 1, "both fall": 2, "both rise": 3}


def pairs(count: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "kind": np.repeat(["edits", "suffix"], count // 2),
            "norm_ratio": rng.lognormal(0, 0.7, count),
            "cosine": rng.uniform(-0.5, 1, count),
        }
    )


@pytest.mark.parametrize("ratio", [0.25, 1.0, 4.0])
def test_a_point_lies_in_the_region_of_its_case(ratio):
    """The fill under random points against the measure's own conditions."""
    ax = plot_case_map(pairs(), ratio=ratio)
    regions = {
        case: [
            c.get_paths()[0]
            for c in ax.collections
            if len(c.get_facecolor()) == 1
            and np.allclose(c.get_facecolor()[0, :3], to_rgba(color)[:3])
            and len(c.get_paths()) == 1
            and len(c.get_paths()[0].vertices) > 100
        ]
        for case, (color, _) in CASE_LOOK.items()
        if case in CODES
    }
    rng = np.random.default_rng(1)
    x, cosine = np.exp(rng.uniform(-2.5, 2.5, 200)), rng.uniform(-0.99, 0.99, 200)
    products = ScoreProducts(jnp.asarray(x**2), jnp.ones(200), jnp.asarray(cosine * x))
    found = entanglement(
        influence_of_sums(products, jnp.ones(200), ratio * jnp.ones(200))
    )
    for case, code in CODES.items():
        inside = np.zeros(200, bool)
        for path in regions[case]:
            inside |= path.contains_points(np.stack([x, cosine], axis=-1))
        wrong = inside != (np.asarray(found.case) == code)
        edge = np.minimum(np.abs(cosine - x / ratio), np.abs(cosine - ratio / x)) < 0.02
        assert not np.any(wrong & ~edge), case


def test_pairs_beyond_the_axis_stand_at_its_end():
    far = pd.DataFrame({"kind": "a", "norm_ratio": [1e-4, 1e4], "cosine": [0.0, 0.5]})
    ax = plot_case_map(far, widest=8)
    points = [c for c in ax.collections if len(c.get_offsets()) == 2][-1].get_offsets()
    np.testing.assert_allclose(points[:, 0], [1 / 8, 8])
    assert ax.get_xlim() == pytest.approx((1 / 8, 8))


@pytest.mark.parametrize("ratio", [0.05, 1.0, 51.0])
def test_nothing_collides(ratio):
    assert flaws(plot_case_map(pairs(), ratio=ratio).figure) == []


def test_refuses_another_table():
    with pytest.raises(GradlabError, match=r"the pairs table lacks .*cosine"):
        plot_case_map(pairs().drop(columns="cosine"))
