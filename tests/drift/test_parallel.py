"""Work in threads: in order, under the caller's settings, errors passed on."""

import threading

import jax
import jax.numpy as jnp
import pytest

from gradlab.drift.parallel import in_parallel, spread


@pytest.fixture
def _four_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)


def test_one_of_each_shape_comes_first():
    assert spread([3, 3, 5, 3, 5, 7], shape=lambda x: x) == [3, 5, 7, 3, 5, 3]
    assert spread([], shape=lambda x: x) == []


@pytest.mark.usefixtures("_four_cores")
@pytest.mark.parametrize("wide", [True, False])
def test_results_keep_their_order_and_the_callers_precision(wide):
    names = set()

    def run(x):
        names.add(threading.current_thread().name)
        return jnp.ones(()) * x

    with jax.enable_x64(wide), jax.default_matmul_precision("highest"):
        found = list(in_parallel(run, [3.0, 1.0, 2.0]))
    assert [float(x) for x in found] == [3.0, 1.0, 2.0]
    assert {x.dtype for x in found} == {jnp.dtype("float64" if wide else "float32")}
    assert threading.main_thread().name not in names


@pytest.mark.usefixtures("_four_cores")
def test_an_error_reaches_the_caller():
    def run(x):
        raise ValueError(f"item {x}")

    with pytest.raises(ValueError, match="item 1"):
        list(in_parallel(run, [1, 2, 3]))
