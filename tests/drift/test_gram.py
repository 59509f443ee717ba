"""The Gram of one pair's tokens against gradients taken one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.flatten_util import ravel_pytree

from gradlab.drift.gram import gram_frame
from gradlab.inputs.scored import SIDES
from tests.drift.cases import log_probs, make_case


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def table(case, n: int, wanted: dict[str, range]) -> pd.DataFrame:
    rows = [
        {"pair": n, "side": side, "position": t, "token": f"{side} {t}", "region": ""}
        for side in SIDES
        for t in wanted[side]
    ]
    return pd.DataFrame(rows)


def test_inner_products_are_those_of_the_gradients():
    case, n = make_case(), 1
    lengths = [len(getattr(case.pairs[n], side)) for side in SIDES]
    wanted = {"chosen": range(1, lengths[0]), "rejected": range(lengths[1] - 1)}
    found = gram_frame(
        case.corpus.model, case.params, case.pairs[n], table(case, n, wanted)
    )
    flat, unravel = ravel_pytree(case.params)
    rows = []
    for side in SIDES:
        jacobian = jax.jacrev(lambda p, s=side: log_probs(case, unravel(p), n, s))(flat)
        rows.append(jacobian[jnp.asarray(wanted[side])])
    jacobian = np.concatenate(rows)
    expected = jacobian @ jacobian.T
    np.testing.assert_allclose(found["inner"], expected.ravel(), rtol=1e-9, atol=1e-12)
    norms = np.sqrt(np.diag(expected))
    cosines = expected / norms / norms[:, None]
    np.testing.assert_allclose(found["cosine"], cosines.ravel(), atol=1e-9)


def test_rows_name_both_tokens():
    case, n = make_case(), 0
    wanted = {"chosen": range(2), "rejected": range(1)}
    found = gram_frame(
        case.corpus.model, case.params, case.pairs[n], table(case, n, wanted)
    )
    names = ["chosen 0", "chosen 1", "rejected 0"]
    assert found["token"].tolist() == [name for name in names for _ in names]
    assert found["other_token"].tolist() == names * 3
    assert (found["pair"] == n).all()
