"""The decoder beside transformers: same weights, same logits, same gradients."""

import json
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.models import DecoderConfig, build, language_model, load_model, save_model
from tests.models.cases import lively, random_tokens

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # theirs are not ours to answer for
]
torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")

SMALL = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "attn_implementation": "eager",
}
LLAMAS = {
    "grouped, tied": {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "one key head, free": {"num_key_value_heads": 1, "tie_word_embeddings": False},
    "all heads, wide base": {"num_key_value_heads": 4, "rope_theta": 1e6},
    "odd head width": {"num_key_value_heads": 2, "head_dim": 6, "rms_norm_eps": 1e-3},
    "biases": {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
}


def torch_llama(fields):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**SMALL | fields)
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(
                torch.randn_like(parameter) * (0.2 if "norm" in name else 0.1)
            )
    return model


@pytest.mark.parametrize("name", LLAMAS)
def test_random_llamas_saved_by_transformers(name, tmp_path):
    """In float64; theirs takes norms, softmax and cosines in float32 all the same."""
    theirs = torch_llama(LLAMAS[name])
    theirs.save_pretrained(tmp_path)
    tokens = np.random.default_rng(0).integers(61, size=(2, 40))
    expected = theirs.double()(torch.tensor(tokens)).logits.detach().numpy()
    with jax.enable_x64(True):
        model, params = load_model(tmp_path, dtype="float64")
        logits = jax.jit(model.apply)(params, jnp.asarray(tokens))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-6)
    assert np.abs(expected).max() > 0.5
    assert model.config.rope_base == LLAMAS[name].get("rope_theta", 1e4)


@pytest.mark.parametrize("name", ["grouped, tied", "one key head, free"])
def test_gradients_of_random_llamas(name, tmp_path):
    theirs = torch_llama(LLAMAS[name])
    theirs.save_pretrained(tmp_path)
    tokens = np.random.default_rng(1).integers(61, size=(2, 20))
    logits = theirs(torch.tensor(tokens)).logits
    torch.log_softmax(logits, -1)[..., 7].sum().backward()
    model, params = load_model(tmp_path)

    def total(params):
        return jax.nn.log_softmax(model.apply(params, tokens))[..., 7].sum()

    found = jax.jit(jax.grad(total))(params)
    embedding = theirs.model.embed_tokens.weight.grad.numpy()
    np.testing.assert_allclose(found["embed"]["embedding"], embedding, atol=2e-3)
    query = theirs.model.layers[1].self_attn.q_proj.weight.grad.numpy()
    kernel = found["layers"]["1"]["attention"]["query"]["kernel"]
    np.testing.assert_allclose(kernel.T, query, atol=2e-4)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_transformers_reads_what_gradlab_saves(tied, dtype, tmp_path):
    config = DecoderConfig(
        vocab_size=61,
        width=32,
        layers=2,
        heads=4,
        kv_heads=2,
        ff_width=40,
        max_length=64,
        rope_base=777.0,
        norm_eps=1e-4,
        tied=tied,
    )
    _, params = build(config)
    params = lively(params, dtype=dtype)
    save_model(tmp_path, config, params, eos_id=3)
    theirs, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, output_loading_info=True, dtype=torch.float32
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys"))
    assert theirs.config.eos_token_id == 3
    tokens = random_tokens(config, 2, 30)
    with torch.no_grad():
        expected = theirs.double()(torch.tensor(np.asarray(tokens))).logits.numpy()
    with jax.enable_x64(True):
        model, params = load_model(tmp_path, dtype="float64")
        logits = jax.jit(model.apply)(params, tokens)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=5e-5)


def test_gpt2_options_equal_gpt2():
    """LayerNorm, learned positions, GELU and biases; no importer, only the function."""
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=61,
            n_positions=32,
            n_embd=32,
            n_layer=2,
            n_head=4,
            attn_implementation="eager",
        )
    ).double()
    theirs.eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    state = {k: v.numpy() for k, v in theirs.state_dict().items()}
    config = DecoderConfig(
        vocab_size=61,
        width=32,
        layers=2,
        heads=4,
        ff_width=128,
        max_length=32,
        norm="layer",
        positions="learned",
        mlp="gelu",
        attention_bias=True,
        mlp_bias=True,
    )
    tokens = np.random.default_rng(0).integers(61, size=(2, 20))
    expected = theirs(torch.tensor(tokens)).logits.detach().numpy()
    with jax.enable_x64(True):
        params = _gpt2_params(state, config.layers)
        logits = jax.jit(language_model(config).apply)(params, tokens)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-10)


def _gpt2_params(state, layers):
    def norm(name):
        return {"scale": state[f"{name}.weight"], "bias": state[f"{name}.bias"]}

    def linear(name, part=slice(None)):
        kernel, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return {"kernel": kernel[:, part], "bias": bias[part]}

    def block(name):
        parts = {"query": slice(32), "key": slice(32, 64), "value": slice(64, 96)}
        attention = {
            key: linear(f"{name}.attn.c_attn", part) for key, part in parts.items()
        }
        return {
            "attention_norm": norm(f"{name}.ln_1"),
            "attention": attention | {"out": linear(f"{name}.attn.c_proj")},
            "mlp_norm": norm(f"{name}.ln_2"),
            "mlp": {
                "up": linear(f"{name}.mlp.c_fc"),
                "down": linear(f"{name}.mlp.c_proj"),
            },
        }

    params = {
        "embed": {"embedding": state["transformer.wte.weight"]},
        "positions": {"embedding": state["transformer.wpe.weight"]},
        "layers": {str(n): block(f"transformer.h.{n}") for n in range(layers)},
        "norm": norm("transformer.ln_f"),
    }
    return jax.tree.map(jnp.asarray, params)


def test_stories260k_on_its_golden_sentences(shared):
    folder = shared / "data" / "models" / "stories260K"
    golden = json.loads((folder / "golden_logps.json").read_text())
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()
    model, params = load_model(folder)
    for sentence in golden["sentences"]:
        tokens = np.asarray([sentence["input_ids"]])
        with torch.no_grad():
            expected = torch.log_softmax(theirs(torch.tensor(tokens)).logits, -1)
        found = jax.nn.log_softmax(jax.jit(model.apply)(params, tokens))
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=5e-5)
