"""The same in PyTorch: a decoder of the Llama layout on the same weights.

Imported only where PyTorch is installed.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch.func import grad, vmap  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # pyright: ignore[reportMissingImports]

from analyses.speed.memory import MIB, host_peak
from analyses.speed.programs import Program
from analyses.speed.workload import BETA, Workload
from gradlab.models.llama_layout import disassemble
from gradlab.types import Params

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
Tensors = dict[str, Any]  # hub name -> tensor


def description() -> str:
    """Version, device and threads, for the manifest."""
    where = torch.cuda.get_device_name() if CUDA else "cpu"
    return f"{torch.__version__} on {where}, {torch.get_num_threads()} threads"


def torch_program(call: Callable[[], Any]) -> Program:
    """A call that returns when its tensors are ready."""

    def finished() -> Any:
        result = call()
        if CUDA:
            torch.cuda.synchronize()
        return result

    return Program(
        finished,
        DEVICE.type,
        _cuda_peak if CUDA else _warm_host_peak,
        lambda tensor: tensor.detach().cpu().numpy(),
    )


def _warm_host_peak(call: Callable[[], Any]) -> float:
    # Its first call imports modules and starts threads; it keeps no memory after that.
    call()
    return host_peak(call)


def _cuda_peak(call: Callable[[], Any]) -> float:
    call()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return (torch.cuda.max_memory_allocated() - before) / MIB


class TorchModel:
    """Token log-probs of a workload's model as a function of named tensors."""

    def __init__(self, work: Workload):
        """Copies the weights; prepares rotations and the causal mask."""
        self.config = work.decoder
        self.params = self.tensors(work.params)
        length, half = work.tokens[0].shape[1] - 1, self.config.head_width // 2
        rates = self.config.rope_base ** (-np.arange(half) / half)
        angles = np.arange(length)[:, None] * rates
        self.cos, self.sin = (_tensor(f(angles)) for f in (np.cos, np.sin))
        self.hidden = ~torch.ones(
            length, length, dtype=torch.bool, device=DEVICE
        ).tril()

    def tensors(self, params: Params) -> Tensors:
        """Parameters, or a direction like them, under the hub's names."""
        named = disassemble(self.config, params)
        return {name: _tensor(array) for name, array in named.items()}

    def logps(self, p: Tensors, tokens: Any) -> Any:
        """Tokens [..., 1 + T] -> log-probs of the last T, [..., T]."""
        logps = torch.log_softmax(self.logits(p, tokens[..., :-1]), -1)
        return logps.gather(-1, tokens[..., 1:, None])[..., 0]

    def logits(self, p: Tensors, ids: Any) -> Any:
        """Ids [..., T] -> [..., T, V]; the embedding is the head."""
        table = p["model.embed_tokens.weight"]
        x = F.embedding(ids, table)
        for number in range(self.config.layers):
            x = self._block(p, f"model.layers.{number}", x)
        return F.linear(self._norm(x, p["model.norm.weight"]), table)

    def _block(self, p: Tensors, prefix: str, x: Any) -> Any:
        def weight(name: str) -> Any:
            return p[f"{prefix}.{name}.weight"]

        h = self._norm(x, weight("input_layernorm"))
        query, key, value = (
            self._heads(F.linear(h, weight(f"self_attn.{name}_proj"))) for name in "qkv"
        )
        mixed = self._attend(self._rotate(query), self._rotate(key), value)
        x = x + F.linear(mixed, weight("self_attn.o_proj"))
        h = self._norm(x, weight("post_attention_layernorm"))
        gate = F.silu(F.linear(h, weight("mlp.gate_proj")))
        up = F.linear(h, weight("mlp.up_proj"))
        return x + F.linear(gate * up, weight("mlp.down_proj"))

    def _norm(self, x: Any, scale: Any) -> Any:
        return F.rms_norm(x, scale.shape, scale, self.config.norm_eps)

    def _heads(self, x: Any) -> Any:
        """[..., T, H C] -> [..., H, T, C]."""
        return x.unflatten(-1, (-1, self.config.head_width)).transpose(-2, -3)

    def _rotate(self, x: Any) -> Any:
        first, second = x.chunk(2, -1)
        turned = (
            first * self.cos - second * self.sin,
            second * self.cos + first * self.sin,
        )
        return torch.cat(turned, -1)

    def _attend(self, query: Any, key: Any, value: Any) -> Any:
        """[..., H, T, C], keys and values of fewer heads -> [..., T, H C]."""
        groups = self.config.heads // self.config.key_value_heads
        key, value = (x.repeat_interleave(groups, dim=-3) for x in (key, value))
        scores = query @ key.transpose(-1, -2) / self.config.head_width**0.5
        probs = torch.softmax(scores.masked_fill(self.hidden, -torch.inf), -1)
        return (probs @ value).transpose(-2, -3).flatten(-2)


def token_drift(
    work: Workload,
    sequences: np.ndarray,
    parts: dict[str, Params],
    drawn: list[tuple[int, int]] | None,
) -> Program:
    """One backward pass per token.

    Args:
      work: the model.
      sequences: [S, 1 + T].
      parts: of a step, each like the parameters.
      drawn: the tokens (sequence, position) to be taken, each through the whole batch;
        None: all tokens, each through its own sequence.

    Returns:
      A program that gives [tokens, parts and their sum].
    """
    model, rows = TorchModel(work), _tensor(sequences)
    steps = [list(model.tensors(part).values()) for part in parts.values()]
    leaves = [leaf.requires_grad_() for leaf in model.params.values()]

    def of_token(logp: Any) -> Any:
        gradient = torch.autograd.grad(logp, leaves, retain_graph=True)
        caused = torch.stack([_inner(gradient, step) for step in steps])
        return torch.cat([caused, caused.sum()[None]])

    def every_token() -> tuple:
        logps = (model.logps(model.params, row) for row in rows)
        return (torch.stack([of_token(logp) for row in logps for logp in row]),)

    if drawn is None:
        return torch_program(every_token)
    # One forward pass serves any number of tokens, so it isn't scaled with them.
    batch = model.logps(model.params, rows)
    return torch_program(lambda: (torch.stack([of_token(batch[i]) for i in drawn]),))


def _inner(x: Iterable, y: Iterable) -> Any:
    return torch.stack([(a * b).sum() for a, b in zip(x, y, strict=True)]).sum()


def pair_gradients(work: Workload, setting: str) -> Program:
    """vmap(grad) of the DPO loss over all pairs."""
    model = TorchModel(work)
    tokens = [_tensor(np.asarray(side)) for side in work.tokens]
    reference = [
        _tensor(np.asarray(side).sum(-1))
        for side in (work.pairs.ref_chosen, work.pairs.ref_rejected)
    ]

    def loss(p: Tensors, chosen: Any, rejected: Any, ref_c: Any, ref_r: Any) -> Any:
        sums = model.logps(p, torch.stack([chosen, rejected])).sum(-1)
        return -F.logsigmoid(BETA * (sums[0] - ref_c - sums[1] + ref_r))

    gradients = vmap(grad(loss), in_dims=(None, 0, 0, 0, 0))

    def all_pairs() -> tuple:
        grads = gradients(model.params, *tokens, *reference)
        rows = [leaf.flatten(1) for leaf in grads.values()]
        if setting == "norms":
            squares: Any = sum((row * row).sum(1) for row in rows)
            return (squares.sqrt(),)
        return (sum(row @ row.T for row in rows),)

    return torch_program(all_pairs)


def full_logps(
    hidden: np.ndarray, head: np.ndarray, targets: np.ndarray, setting: str
) -> Program:
    """Cross-entropy from all logits; with the gradients where asked."""
    x, weight, ids = _tensor(hidden), _tensor(head), _tensor(targets)
    if setting == "backward":
        x.requires_grad_()
        weight.requires_grad_()

    def call() -> tuple:
        logits = (x @ weight).flatten(0, 1)
        logps = -F.cross_entropy(logits, ids.flatten(), reduction="none")
        shaped = (logps.reshape(ids.shape),)
        if setting == "forward":
            return shaped
        return shaped + torch.autograd.grad(logps.sum(), (x, weight))

    return torch_program(call)


def _tensor(array: np.ndarray) -> Any:
    """A copy on the device: float32, or int64 for ids."""
    kind = torch.int64 if np.issubdtype(array.dtype, np.integer) else torch.float32
    return torch.tensor(array, dtype=kind, device=DEVICE)
