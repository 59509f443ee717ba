"""Generation: with and without a cache, greedy and sampled."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.models import DecoderConfig, LanguageModel, build
from gradlab.training.decoding import advance, begin
from gradlab.training.generate import continuations, generate
from gradlab.training.growth import FEWEST, STAGE

CONFIG = DecoderConfig(
    vocab_size=23, width=16, layers=2, heads=2, ff_width=32, max_length=96
)
GPT2 = dataclasses.replace(
    CONFIG, norm="layer", positions="learned", mlp="gelu", attention_bias=True
)
PROMPTS = [[1, 5, 7], [1], [1, 2, 3, 4, 5, 6, 7, 8], [4, 4], [9, 8, 7, 6]]


@pytest.fixture(scope="module")
def decoder():
    model, params = build(CONFIG, seed=3)
    # Sharper than at the start of training, so that texts differ and end.
    return model, jax.tree.map(lambda leaf: 6 * leaf, params)


def _greedy_by_hand(model, params, prompt, count, eos_id):
    """One row by itself, with the whole context behind it filled up with token 22."""
    apply = _jitted(model)
    row, end = np.full((1, CONFIG.max_length), 22), len(prompt)
    row[0, :end] = prompt
    for _ in range(count):
        token = int(apply(params, row)[0, end - 1].argmax())
        row[0, end : end + 1] = token
        end += 1
        if token == eos_id:
            break
    return row[0, len(prompt) : end].tolist()


@functools.cache
def _jitted(model):
    return jax.jit(model.apply)


def _counting_model(vocab=12):
    """Its next token is always the last one + 1: the right text is known."""

    def apply(params, tokens):
        del params
        return 50.0 * jax.nn.one_hot(tokens + 1, vocab)

    return LanguageModel(apply=apply)


def test_greedy_is_what_one_token_at_a_time_gives(decoder):
    count = 2 * STAGE + 5  # over several stages
    expected = [_greedy_by_hand(*decoder, p, count, None) for p in PROMPTS]
    found = generate(*decoder, PROMPTS, max_new_tokens=count, batch_size=2)
    assert found == expected
    assert len({tuple(row) for row in found}) > 1


def test_it_stops_at_eos_row_by_row(decoder):
    free = [_greedy_by_hand(*decoder, p, 40, None) for p in PROMPTS]
    eos = free[0][2]
    expected = [_greedy_by_hand(*decoder, p, 40, eos) for p in PROMPTS]
    found = generate(*decoder, PROMPTS, max_new_tokens=40, eos_id=eos)
    assert found == expected
    assert len({len(row) for row in found}) > 1
    assert found[0][-1] == eos


def test_any_model_with_apply_alone_will_do():
    found = generate(
        _counting_model(), {}, [[3], [1, 6], [9]], max_new_tokens=20, eos_id=11
    )
    assert found == [[4, 5, 6, 7, 8, 9, 10, 11], [7, 8, 9, 10, 11], [10, 11]]


def test_a_text_may_fill_the_context_exactly(decoder):
    prompt = PROMPTS[2]
    count = CONFIG.max_length - len(prompt)
    found = generate(*decoder, [prompt], max_new_tokens=count)
    assert len(found[0]) == count
    assert found[0] == _greedy_by_hand(*decoder, prompt, count, None)


def test_sampling_does_not_depend_on_the_batch(decoder):
    settings = {"max_new_tokens": 6, "temperature": 0.7, "key": jax.random.key(5)}
    one = generate(*decoder, PROMPTS, batch_size=1, **settings)
    assert one == generate(*decoder, PROMPTS, batch_size=4, **settings)
    assert one == generate(*decoder, PROMPTS, batch_size=4, **settings)
    other = settings | {"key": jax.random.key(6)}
    assert one != generate(*decoder, PROMPTS, **other)


def test_samples_follow_the_softmax_at_the_temperature(decoder):
    model, params = decoder
    n, temperature = 4000, 1.5
    rows = generate(
        model,
        params,
        [PROMPTS[0]] * n,
        max_new_tokens=1,
        temperature=temperature,
        key=jax.random.key(0),
        batch_size=1000,
    )
    counts = np.bincount([row[0] for row in rows], minlength=CONFIG.vocab_size)
    logits = model.apply(params, jnp.array([PROMPTS[0]]))[0, -1]
    expected = np.asarray(jax.nn.softmax(logits / temperature))
    # Four standard deviations of a count, and one for the rare tokens.
    slack = 4 * np.sqrt(n * expected * (1 - expected)) + 1
    assert np.all(np.abs(counts - n * expected) <= slack)


def _without_cache(model):
    return dataclasses.replace(model, hidden_cached=None)


SETTINGS = {
    "greedy": {},
    "sampled": {"temperature": 0.8, "key": jax.random.key(2)},
    "top k": {"temperature": 1.2, "top_k": 5, "key": jax.random.key(3)},
    "top p": {"temperature": 1.0, "top_p": 0.8, "key": jax.random.key(4)},
}


@pytest.mark.parametrize(
    ("config", "name", "dtype", "scale", "limit"),
    [
        (CONFIG, "greedy", "float64", 6, 1e-12),
        (GPT2, "top p", "float64", 6, 1e-12),
        (CONFIG, "sampled", "float32", 2, 1e-5),
    ],
)
def test_the_cache_changes_nothing(config, name, dtype, scale, limit):
    """Prompts of different lengths, some of which end early."""
    with jax.enable_x64(dtype == "float64"):
        model, params = build(config, seed=3, dtype=dtype)
        params = jax.tree.map(lambda leaf: scale * leaf, params)
        options = SETTINGS[name] | {"max_new_tokens": 22, "eos_id": 4}
        with_cache = continuations(model, params, PROMPTS, **options)
        without = continuations(_without_cache(model), params, PROMPTS, **options)
    assert len({tuple(text.ids) for text in with_cache}) > 1
    for one, other in zip(with_cache, without, strict=True):
        assert one.ids == other.ids
        assert one.logps.dtype == dtype
        np.testing.assert_allclose(one.logps, other.logps, rtol=0, atol=limit)


def test_logps_are_those_of_the_model_itself(decoder):
    """Whatever the temperature and the limits that tokens were drawn with."""
    model, params = decoder
    options = SETTINGS["top k"] | {"max_new_tokens": 6}
    for prompt, text in zip(
        PROMPTS, continuations(model, params, PROMPTS, **options), strict=True
    ):
        row = np.zeros((1, CONFIG.max_length), np.int32)
        row[0, : len(prompt) + 6] = prompt + text.ids
        logps = jax.nn.log_softmax(_jitted(model)(params, row)[0])
        places = np.arange(len(prompt) - 1, len(prompt) + 5)
        np.testing.assert_allclose(
            text.logps, logps[places, np.array(text.ids)], rtol=0, atol=1e-5
        )


def test_ended_texts_are_dropped_from_the_batch_without_a_trace(decoder):
    prompts = [[n % 23, n // 23] for n in range(4 * FEWEST)]
    options = SETTINGS["sampled"] | {"max_new_tokens": 3 * STAGE}
    free = generate(*decoder, prompts, batch_size=4 * FEWEST, **options)
    often = np.bincount(np.concatenate([text[:STAGE] for text in free])).argmax()
    options["eos_id"] = int(often)
    whole = generate(*decoder, prompts, batch_size=4 * FEWEST, **options)
    assert sum(len(text) <= STAGE for text in whole) > 2 * FEWEST  # so some are dropped
    assert max(map(len, whole)) > STAGE + 1
    seeds = list(range(len(prompts)))
    for part in (slice(0, 9), slice(9, 32)):
        options["seeds"] = seeds[part]
        assert generate(*decoder, prompts[part], batch_size=7, **options) == whole[part]


def test_a_text_follows_its_seed_not_its_place(decoder):
    options = SETTINGS["sampled"] | {"max_new_tokens": 6}
    first = generate(*decoder, PROMPTS, seeds=[9, 8, 7, 6, 5], **options)
    second = generate(*decoder, PROMPTS[::-1], seeds=[5, 6, 7, 8, 9], **options)
    assert first == second[::-1]
    twins = generate(*decoder, [PROMPTS[0]] * 8, seeds=[3] * 4 + [4] * 4, **options)
    assert len(set(map(tuple, twins))) == 2


def test_generation_compiles_once_for_each_shape(decoder):
    options = {"max_new_tokens": 4, "batch_size": 4}
    generate(*decoder, PROMPTS, **options)
    before = begin._cache_size(), advance._cache_size()
    generate(*decoder, [[2] * n for n in (3, 9, 16)], eos_id=7, **options)
    assert (begin._cache_size(), advance._cache_size()) == before


def test_nothing_in_nothing_out(decoder):
    assert generate(*decoder, [], max_new_tokens=3) == []


@pytest.mark.parametrize(
    ("prompts", "settings", "named"),
    [
        ([[1], []], {}, r"prompts\[1\]: empty"),
        ([[1] * 94], {}, r"prompts\[0\]: 94 tokens and 3 new ones exceed"),
        ([[1]], {"temperature": 0.5}, "temperature=0.5: expected 0, or"),
        ([[1]], {"temperature": -1.0}, "temperature=-1.0"),
        ([[1]], {"max_new_tokens": 0}, "max_new_tokens=0"),
        ([[1]], {"batch_size": 0}, "batch_size=0"),
        ([[1]], {"seeds": [1, 2]}, "seeds: 2 of them for 1 prompts"),
    ],
)
def test_refusals_name_the_argument(decoder, prompts, settings, named):
    with pytest.raises(GradlabError, match=named):
        generate(*decoder, prompts, **({"max_new_tokens": 3} | settings))
