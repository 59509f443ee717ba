"""Parameters and batches over the devices of a mesh, by `jax.sharding` alone.

A mesh has two axes. The devices along `fsdp` hold the parameters between them, and the
optimiser's state with them; those along `data` hold copies of that. The rows of a batch
are split over all devices. All axes are Auto: a compiled function is written for whole
arrays, and the compiler puts in what the devices have to tell each other.

Where an array lies is a property of the array. So whatever takes parameters runs on as
many devices as they lie on, the gradient measures too.
"""

import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gradlab.errors import GradlabError

AXES = ("data", "fsdp")
ROWS = PartitionSpec(AXES)  # the first axis over all devices
WHOLE = PartitionSpec()

# Regular expression over a path such as params/layers/0/mlp/up/kernel -> how the array
# is split; None: along its largest axis that the devices of `fsdp` divide. The first
# rule that matches counts.
Rules = Sequence[tuple[str, PartitionSpec | None]]
RULES: Rules = ((r"(^|/)(scale|bias)$", WHOLE), (r"", None))


def make_mesh(data: int = 1, fsdp: int = 1) -> Mesh:
    """A mesh of all devices of all processes.

    Args:
      data: groups of devices, each of which holds all parameters.
      fsdp: devices of a group, between which the parameters are split.

    Raises:
      GradlabError: data * fsdp is not the number of devices.

    Example:
      >>> make_mesh(data=jax.device_count()).axis_names
      ('data', 'fsdp')
    """
    found = jax.device_count()
    if data * fsdp != found:
        raise GradlabError(
            f"mesh.data * mesh.fsdp is {data} * {fsdp}; expected {found}, the number "
            "of devices of all processes"
        )
    return jax.make_mesh((data, fsdp), AXES, axis_types=(AxisType.Auto,) * 2)


def param_specs(tree: Any, mesh: Mesh, rules: Rules = RULES) -> Any:
    """How each array of a tree is split.

    Args:
      tree: parameters, an optimiser's state, or both; arrays or their shapes.
      mesh: from `make_mesh`.
      rules: see `RULES`. An axis of an array that can't be divided as its rule says
        stays whole.

    Returns:
      A tree of `PartitionSpec`.

    Raises:
      GradlabError: no rule matches a path.

    Example:
      >>> kernel = jax.ShapeDtypeStruct((8, 32), np.float32)
      >>> param_specs({"up": {"kernel": kernel}}, make_mesh(jax.device_count()))
      {'up': {'kernel': P(None, 'fsdp')}}
    """

    def spec(path: Any, leaf: Any) -> PartitionSpec:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        for pattern, given in rules:
            if re.search(pattern, name):
                if given is None:
                    return _largest(np.shape(leaf), mesh)
                return _fitting(given, np.shape(leaf), mesh)
        raise GradlabError(f"rules: none of them matches the path {name}")

    return jax.tree_util.tree_map_with_path(spec, tree)


def shard_params(tree: Any, mesh: Mesh, rules: Rules = RULES) -> Any:
    """Puts parameters, or a whole training state, onto the devices.

    Args:
      tree: arrays of the host, equal in all processes, or arrays on the mesh already.
      mesh: from `make_mesh`.
      rules: as in `param_specs`.

    Returns:
      The same tree of global arrays.
    """
    specs = param_specs(tree, mesh, rules)
    return jax.tree.map(
        lambda leaf, spec: _put(leaf, NamedSharding(mesh, spec)), tree, specs
    )


def shard_batch(tree: Any, mesh: Mesh, axes: Sequence[str] = AXES) -> Any:
    """Puts arrays of the host onto the devices, their first axis split.

    Args:
      tree: arrays of the host, equal in all processes.
      mesh: from `make_mesh`.
      axes: of the mesh, over which the rows are split. Where the rows can't be divided
        evenly, every device holds all of them.

    Returns:
      The same tree of global arrays.
    """
    ways = int(np.prod([mesh.shape[name] for name in axes]))

    def put(leaf: Any) -> jax.Array:
        even = np.ndim(leaf) > 0 and len(leaf) % ways == 0
        spec = PartitionSpec(tuple(axes)) if even else WHOLE
        return _put(leaf, NamedSharding(mesh, spec))

    return jax.tree.map(put, tree)


def beside(params: Any, batch: Any, axes: Sequence[str] = AXES) -> Any:
    """`shard_batch` onto the mesh of the parameters; unchanged where they have none."""
    mesh = mesh_of(params)
    return batch if mesh is None else shard_batch(batch, mesh, axes)


def mesh_of(tree: Any) -> Mesh | None:
    """The mesh that the arrays of a tree lie on, or None."""
    for leaf in jax.tree.leaves(tree):
        sharding = getattr(leaf, "sharding", None)
        if isinstance(sharding, NamedSharding) and sharding.mesh.axis_names == AXES:
            return sharding.mesh  # pyright: ignore[reportReturnType]
    return None


def gathered(tree: Any) -> Any:
    """Whole arrays of the host, also of arrays whose parts lie with other processes.

    All processes must call it.
    """
    return jax.tree.map(_gather, tree)


def _gather(leaf: Any) -> np.ndarray:
    if isinstance(leaf, jax.Array) and not (
        leaf.is_fully_addressable or leaf.is_fully_replicated
    ):
        whole = NamedSharding(leaf.sharding.mesh, WHOLE)  # pyright: ignore
        leaf = jax.jit(lambda x: x, out_shardings=whole)(leaf)
    return np.asarray(leaf)


def _put(leaf: Any, sharding: NamedSharding) -> jax.Array:
    if isinstance(leaf, jax.Array) and leaf.sharding.device_set == sharding.device_set:
        return jax.device_put(leaf, sharding)
    # Each device takes its part: no process tells another one anything.
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, sharding, lambda at: whole[at])


def _largest(shape: Sequence[int], mesh: Mesh) -> PartitionSpec:
    count = mesh.shape["fsdp"]
    axes = [axis for axis, size in enumerate(shape) if size and size % count == 0]
    if not axes:
        return WHOLE
    # Of equal ones the last: the columns of a kernel.
    largest = max(axes, key=lambda axis: (shape[axis], axis))
    return PartitionSpec(*[None] * largest, "fsdp")


def _fitting(given: PartitionSpec, shape: Sequence[int], mesh: Mesh) -> PartitionSpec:
    """The rule's axes without those that don't divide the array's."""

    def ways(names: Any) -> int:
        names = (names,) if isinstance(names, str) else names or ()
        return int(np.prod([mesh.shape[name] for name in names]))

    pairs = zip(given, shape, strict=False)
    return PartitionSpec(*(n if size % ways(n) == 0 else None for n, size in pairs))
