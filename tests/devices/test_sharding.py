"""Parameters and batches on eight devices: where they lie, and that nothing changes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec

from gradlab.errors import GradlabError
from gradlab.gradients import pair_gram, side_gradients, split_drift, split_step
from gradlab.losses import resolve
from gradlab.models import build, response_logps
from gradlab.models.config import DecoderConfig
from gradlab.models.sharding import (
    gathered,
    make_mesh,
    mesh_of,
    param_specs,
    shard_batch,
    shard_params,
)
from gradlab.training.batching import TrainBatch
from gradlab.training.step import Step, TrainState
from gradlab.types import PairLogps

CONFIG = DecoderConfig(
    vocab_size=64, width=32, layers=1, heads=2, ff_width=64, max_length=32
)
MODEL, PARAMS = build(CONFIG)
# Large: else the first step is a sign, also where the gradient is rounding alone.
EPS = 1e-2
SHAPES = [(8, 1), (2, 4), (1, 8)]


def held(tree):
    """Bytes that the first device holds."""
    shards = [leaf.addressable_shards for leaf in jax.tree.leaves(tree)]
    assert all(len(part) == 8 for part in shards)
    return sum(part[0].data.nbytes for part in shards)


def test_the_larger_axis_that_divides_is_split():
    mesh = make_mesh(2, 4)
    tree = {"a": (8, 32), "b": (32, 8), "c": (6, 8), "d": (6, 7), "e": (8, 8), "f": ()}
    tree = {name: jnp.zeros(shape) for name, shape in tree.items()}
    tree["norm"] = {"scale": jnp.zeros(32)}
    split = PartitionSpec("fsdp"), PartitionSpec(None, "fsdp")
    whole = PartitionSpec()
    assert param_specs(tree, mesh) == {
        "a": split[1], "b": split[0], "c": split[1], "d": whole, "e": split[1],
        "f": whole, "norm": {"scale": whole},
    }  # fmt: skip


def test_rules_of_ones_own():
    mesh = make_mesh(2, 4)
    tree = {"layers": {"0": {"kernel": jnp.zeros((6, 8))}}, "head": jnp.zeros((4, 8))}
    rules = ((r"^layers/\d+/kernel$", PartitionSpec("data", ("data", "fsdp"))),)
    found = param_specs(tree["layers"], mesh, ((r"kernel", PartitionSpec("fsdp")),))
    assert found == {"0": {"kernel": PartitionSpec(None)}}  # 4 doesn't divide 6
    with pytest.raises(GradlabError, match="none of them matches the path head"):
        param_specs(tree, mesh, rules)
    found = param_specs(tree, mesh, (*rules, ("", PartitionSpec())))
    assert found["layers"]["0"]["kernel"] == rules[0][1]


def test_a_mesh_takes_all_devices():
    with pytest.raises(GradlabError, match=r"is 2 \* 2; expected 8, the number of dev"):
        make_mesh(2, 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_device_holds_its_part_alone(shape):
    state = TrainState.start(PARAMS, optax.adam(0.1))
    mesh = make_mesh(*shape)
    placed = shard_params(state, mesh)
    scales = sum(
        leaf.nbytes
        for path, leaf in jax.tree.leaves_with_path(state)
        if leaf.ndim < 2  # scales, and the numbers of steps
    )
    total = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert held(placed) == scales + (total - scales) // shape[1]
    assert mesh_of(placed) == mesh
    assert mesh_of(state) is None
    jax.tree.map(np.testing.assert_array_equal, gathered(placed), state)


@pytest.mark.parametrize(
    "shape",
    [
        (2, 4),
        *(pytest.param(shape, marks=pytest.mark.slow) for shape in [(8, 1), (1, 8)]),
    ],
)
def test_a_step_leaves_the_state_where_it_lies(shape):
    def score(params, rows, width):
        del width
        logits = MODEL.apply(params, rows[:, :, 0])
        return {"logps": jax.nn.log_softmax(logits)[:, None, :, 0]}

    step = Step(score, resolve("mle(reduction='batch')"), optax.adam(0.1, eps=EPS))
    mask = np.ones((1, 8, 1, 5), bool)
    batch = TrainBatch(np.arange(40).reshape(1, 8, 5, 1), mask)
    alone = TrainState.start(PARAMS, step.optimiser)
    state = shard_params(alone, make_mesh(*shape))
    before, bytes_held = jax.tree.map(lambda x: x.sharding, state), held(state)
    update, known = step.compiled(state), jax.jit(step.update)
    for _ in range(2):
        (state, report), (alone, expected) = update(state, batch), known(alone, batch)
        np.testing.assert_allclose(report.values, expected.values, atol=1e-5)
    assert jax.tree.map(lambda x: x.sharding, state) == before
    assert held(state) == bytes_held
    norm = optax.tree.norm(jax.tree.map(jnp.subtract, alone.params, PARAMS))
    assert norm > 0.1


def test_rows_that_cant_be_divided_stay_whole():
    mesh = make_mesh(2, 4)
    found = shard_batch({"even": np.arange(16), "odd": np.arange(10)}, mesh)
    assert [s.data.shape for s in found["even"].addressable_shards] == [(2,)] * 8
    assert found["odd"].is_fully_replicated
    some = shard_batch(np.arange(10), mesh, ("data",))
    assert {s.data.shape for s in some.addressable_shards} == {(5,)}


def rows():
    """Tokens [8, 12] of both sides, and the inputs of a loss."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, CONFIG.vocab_size, (2, 8, 12))
    lengths = rng.integers(2, 6, (2, 8))
    masks = np.arange(6) < lengths[..., None]
    ref = -rng.random((2, 8, 6)).astype(np.float32)
    pairs = PairLogps(*np.zeros_like(ref), *masks, *ref)
    return {"tokens": tokens.swapaxes(0, 1), "lengths": lengths.T}, pairs


def logps(params, data):
    """(chosen, rejected) [B, 6]."""
    start = jnp.full(len(data["tokens"]), 5)
    return tuple(
        response_logps(
            MODEL, params, data["tokens"][:, side], start, data["lengths"][:, side],
            width=6,
        )
        for side in (0, 1)
    )  # fmt: skip


def measures(params, data, pairs):
    """Gradients of both sides, the step's parts as drift, and products of pairs."""

    @jax.jit
    def sides(params, data, pairs):
        return side_gradients("dpo", lambda p: logps(p, data), params, pairs)

    gradients = sides(params, data, pairs)
    optimiser = optax.adam(1e-2, eps=EPS)
    step = split_step(optimiser, optimiser.init(params), params, gradients)
    drift = jax.jit(lambda *x: split_drift(lambda p: logps(p, x[2]), x[0], x[1]))
    gram = jax.jit(lambda *x: pair_gram("dpo", logps, *x, microbatch=4, part="both"))
    return gradients, drift(params, step.parts, data), gram(params, data, pairs)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 4), (1, 8)])
def test_gradient_measures_are_those_of_one_device(shape):
    data, pairs = rows()
    mesh = make_mesh(*shape)
    found = measures(shard_params(PARAMS, mesh), *shard_batch((data, pairs), mesh))
    assert found[0].chosen["layers"]["0"]["mlp"]["up"]["kernel"].sharding.mesh == mesh
    expected = measures(PARAMS, data, pairs)
    scale = jax.tree.map(lambda leaf: float(np.abs(leaf).max()), expected)
    assert min(jax.tree.leaves(scale[0])) > 1e-6
    assert min(jax.tree.leaves(scale[1]["total"])) > 1e-2
    jax.tree.map(
        lambda x, y, s: np.testing.assert_allclose(x, y, atol=1e-5 * max(s, 1)),
        found, expected, scale,
    )  # fmt: skip
