"""Parameter groups by path, and norms and inner products that add up over them.

    <x, y> = sum over groups G of <x_G, y_G>,   ||x||^2 = sum over groups of ||x_G||^2

A leaf's path is its keys joined by "/": `layers/0/attention/query/kernel`. The first
pattern that occurs in the path names the leaf's group.
"""

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.types import Array, Params

Patterns = Sequence[tuple[str, str]]  # (regular expression, name such as "layer \1")

_LAYER = r"(?:^|/)(?:layers|blocks|layer|block|h)[/_.](\d+)/(?:.*/)?[^/]*"
DEFAULT_PATTERNS: Patterns = (
    (_LAYER + r"(?:norm|ln_?\d)", r"layers/\1/norms"),
    (_LAYER + r"(?:attn|attention)", r"layers/\1/attention"),
    (_LAYER + r"(?:mlp|ffn|feed_?forward)", r"layers/\1/mlp"),
    (r"(?i)unembed|lm_head|(?:^|/)head(?:/|$)", "head"),
    (r"(?i)embed|(?:^|/)(?:positions|wte|wpe)(?:/|$)", "embedding"),
    (r"(?i)norm|(?:^|/)ln_f", "final_norm"),
)


def parameter_groups(
    params: Params, patterns: Patterns = DEFAULT_PATTERNS
) -> tuple[str, ...]:
    """The group of every leaf, in the order of `jax.tree.leaves(params)`.

    Args:
      params: any pytree; only its structure is read. A tied embedding is one leaf, so
        it is counted once, as embedding.
      patterns: (regular expression, group name) in order of precedence. The expression
        is searched in the path; the name may use its groups, `\\1`. By default each
        block's attention, mlp and norms, then head, embedding and final norm.

    Returns:
      One name per leaf. A leaf that no pattern meets is a group of its own, named by
      its path: no parameter is ever left out, so groups add up to the whole.

    Raises:
      GradlabError: a pattern is no valid regular expression.

    Example:
      >>> parameter_groups({"embed": 0.0, "layers": {"0": {"mlp": {"up": 0.0}}}})
      ('embedding', 'layers/0/mlp')
    """
    compiled = [(_compile(pattern), name) for pattern, name in patterns]
    paths = [p for p, _ in jax.tree_util.tree_flatten_with_path(params)[0]]
    return tuple(_group(_joined(path), compiled) for path in paths)


def group_names(groups: Sequence[str]) -> tuple[str, ...]:
    """The distinct groups, in order of first appearance."""
    return tuple(dict.fromkeys(groups))


def group_inner(x: Params, y: Params, groups: Sequence[str]) -> Array:
    """<x, y> within each group, [G] in the order of `group_names(groups)`.

    Accumulated in float32 or wider. The sum over groups is the whole inner product.
    """
    names = group_names(groups)
    sums: dict[str, Array] = {}
    pairs = zip(jax.tree.leaves(x), jax.tree.leaves(y), groups, strict=True)
    for left, right, name in pairs:
        product = _leaf_inner(left, right)
        sums[name] = sums[name] + product if name in sums else product
    return jnp.stack([sums[name] for name in names])


def tree_inner(x: Params, y: Params) -> Array:
    """<x, y> over all leaves, a scalar; accumulated in float32 or wider."""
    return sum(jax.tree.leaves(jax.tree.map(_leaf_inner, x, y)), jnp.zeros(()))


def tree_norm(x: Params) -> Array:
    """Euclidean norm over all leaves, a scalar."""
    return jnp.sqrt(tree_inner(x, x))


def stacked_inner(x: Params, y: Params, lead_x: int, lead_y: int) -> Array:
    """Sums over parameters: [..x, n] and [..y, n] give [..x, ..y], leaf by leaf."""
    total: Any = 0.0  # weakly typed: keeps float32 where x64 is enabled
    for left, right in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True):
        total = total + jnp.tensordot(
            as_rows(left, lead_x),
            as_rows(right, lead_y),
            axes=((-1,), (-1,)),
            precision=jax.lax.Precision.HIGHEST,
        )
    return total


def as_rows(leaf: Array, lead: int) -> Array:
    """The leading axes kept, the parameter's own in one; float32 or wider."""
    wide = jnp.promote_types(leaf.dtype, jnp.float32)
    return leaf.reshape(*leaf.shape[:lead], -1).astype(wide)


def _leaf_inner(x: Array, y: Array) -> Array:
    wide = jnp.promote_types(jnp.result_type(x, y), jnp.float32)
    return jnp.sum(jnp.asarray(x, wide) * jnp.asarray(y, wide))


def _group(path: str, patterns: list[tuple[re.Pattern, str]]) -> str:
    for pattern, name in patterns:
        if match := pattern.search(path):
            return match.expand(name)
    return path


def _joined(path: tuple) -> str:
    keys = (getattr(k, "key", getattr(k, "name", getattr(k, "idx", k))) for k in path)
    return "/".join(str(key) for key in keys)


def _compile(pattern: str) -> re.Pattern:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise GradlabError(
            f"patterns: {pattern!r} is no regular expression: {error}"
        ) from None
