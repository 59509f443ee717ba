"""Reference log-probabilities on the disk: found, invalidated, never half-written."""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.data.batches import TokenizedPair
from gradlab.data.bpe import train_tokenizer
from gradlab.models import LanguageModel, build
from gradlab.training import reference
from gradlab.training.reference import (
    code_digest,
    ingredients,
    params_digest,
    reference_table,
    rows_digest,
    tokenizer_digest,
)
from tests.models.cases import LLAMA

ROWS = [TokenizedPair(1, [1, 2], [3, 4, 5], [6]), TokenizedPair(2, [1], [2], [7, 8])]
LENGTHS = np.array([[3, 1], [1, 2]])


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_tokenizer(["a b c 1 2 3"] * 9, 270, tmp_path_factory.mktemp("bpe"))


@pytest.fixture(scope="module")
def given(tokenizer):
    """What the numbers depend on."""
    model, params = build(LLAMA)
    return {"model": model, "params": params, "tokenizer": tokenizer, "rows": ROWS}


class Counted:
    """A computation that knows how often it was asked for."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.table = [
            [-rng.exponential(size=n).astype(np.float32) for n in sides]
            for sides in LENGTHS
        ]
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return self.table


def same(one, other):
    return all(
        np.array_equal(a, b) and a.dtype == b.dtype
        for left, right in zip(one, other, strict=True)
        for a, b in zip(left, right, strict=True)
    )


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_second_run_reads_the_same_bits(given, tmp_path):
    compute, notes, parts = Counted(), [], ingredients(**given)
    folder = tmp_path / "made" / "here"
    for _ in range(2):
        table = reference_table(compute, LENGTHS, folder, parts, notes.append)
        assert same(table, compute.table)
    assert compute.calls == 1
    assert [note.split(" ")[2] for note in notes] == ["computed", "read"]
    (name,) = entries(folder)
    assert len(name) == 64 + len(".safetensors")


CHANGES = {
    "a parameter": lambda g: {
        "params": jax.tree.map(lambda leaf: leaf.at[..., 0].add(1e-7), g["params"])
    },
    "dtype of the parameters": lambda g: {
        "params": jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), g["params"])
    },
    "shape of the model": lambda g: {
        "model": dataclasses.replace(
            g["model"], config=dataclasses.replace(LLAMA, rope_base=501.0)
        )
    },
    "tokenizer": lambda g: {"tokenizer": dataclasses.replace(g["tokenizer"], eos_id=5)},
    "an id": lambda g: {
        "rows": [ROWS[0], dataclasses.replace(ROWS[1], rejected=[7, 9])]
    },
    "order of the rows": lambda g: {"rows": ROWS[::-1]},
    "what counts as prompt": lambda g: {
        "rows": [
            dataclasses.replace(ROWS[0], prompt=[1], chosen=[2, 3, 4, 5]),
            ROWS[1],
        ]
    },
    "a setting": lambda g: {"compute": "bfloat16"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_ingredient_counts(name, given, tmp_path):
    first, second = Counted(0), Counted(1)
    reference_table(first, LENGTHS, tmp_path, ingredients(**given))
    changed = ingredients(**given | CHANGES[name](given))
    assert same(reference_table(second, LENGTHS, tmp_path, changed), second.table)
    assert second.calls == 1
    assert len(entries(tmp_path)) == 2


def test_code_versions_precision_and_device_count(given, tmp_path, monkeypatch):
    found = [ingredients(**given)]
    with jax.default_matmul_precision("bfloat16"):
        found.append(ingredients(**given))
    with jax.enable_x64(True):
        found.append(ingredients(**given))
    monkeypatch.setattr(reference.metadata, "version", lambda name: "0.0")
    found.append(ingredients(**given))
    monkeypatch.setattr(jax, "default_backend", lambda: "abacus")
    found.append(ingredients(**given))
    monkeypatch.setattr(reference, "code_digest", lambda: "other code")
    found.append(ingredients(**given))
    for parts in found:
        reference_table(Counted(), LENGTHS, tmp_path, parts)
    assert len(entries(tmp_path)) == len(found)


def test_the_code_digest_reads_the_scoring_path(monkeypatch):
    code_digest.cache_clear()
    first = code_digest()
    assert {name for name, _ in reference._sources("gradlab.models")} >= {
        f"gradlab.models/{stem}.py"
        for stem in ("attention", "chunked", "decoder", "layout", "logps", "packing")
    }
    sources = reference._sources
    for changed in reference.SCORING_PATH:

        def edited(name, changed=changed):
            files = sources(name)
            return [*files[:-1], (files[-1][0], b"#")] if name == changed else files

        code_digest.cache_clear()
        monkeypatch.setattr(reference, "_sources", edited)
        assert code_digest() != first
    code_digest.cache_clear()


def broken_entries(whole: bytes):
    yield "empty", b""
    yield "cut", whole[: len(whole) // 2]
    for place in range(-40, 0, 6):  # of the numbers and of the lengths
        flipped = bytearray(whole)
        flipped[place] ^= 1
        yield "one bit", bytes(flipped)
    yield "header", b"\xff" * 8 + whole[8:]
    yield "other", b"no safetensors at all, but long enough to have a header"


def test_a_damaged_entry_is_computed_again_and_replaced(given, tmp_path):
    parts, compute, notes = ingredients(**given), Counted(), []
    reference_table(compute, LENGTHS, tmp_path, parts)
    (name,) = entries(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for count, (_, damaged) in enumerate(broken_entries(whole), 2):
        (tmp_path / name).write_bytes(damaged)
        table = reference_table(compute, LENGTHS, tmp_path, parts, notes.append)
        assert same(table, compute.table)
        assert compute.calls == count
        assert "damaged" in notes[-2]
        reference_table(compute, LENGTHS, tmp_path, parts, notes.append)
        assert " read from " in notes[-1]
        assert compute.calls == count
    assert entries(tmp_path) == [name]


def test_lengths_of_other_rows_are_refused(given, tmp_path):
    parts, notes = ingredients(**given), []
    reference_table(Counted(), LENGTHS, tmp_path, parts)
    other = Counted()
    reference_table(other, LENGTHS[::-1], tmp_path, parts, notes.append)
    assert other.calls == 1
    assert "its lengths are not those of the rows" in notes[0]


def test_a_write_that_fails_leaves_nothing_and_costs_nothing(
    given, tmp_path, monkeypatch
):
    notes = []

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    compute = Counted()
    parts = ingredients(**given)
    table = reference_table(compute, LENGTHS, tmp_path, parts, notes.append)
    assert same(table, compute.table)
    assert entries(tmp_path) == []
    assert "can't be stored" in notes[0]
    assert "No space left" in notes[0]


def test_many_writers_at_once_leave_one_whole_entry(given, tmp_path):
    parts, compute = ingredients(**given), Counted()

    def one(_):
        return reference_table(compute, LENGTHS, tmp_path, parts)

    with ThreadPoolExecutor(8) as pool:
        tables = list(pool.map(one, range(40)))
    assert all(same(table, compute.table) for table in tables)
    assert len(entries(tmp_path)) == 1


def test_without_folder_or_with_unknown_functions_nothing_is_stored(given, tmp_path):
    compute = Counted()
    reference_table(compute, LENGTHS, None, ingredients(**given))
    plain = LanguageModel(apply=given["model"].apply)
    parts = ingredients(**given | {"model": plain})
    reference_table(compute, LENGTHS, tmp_path, parts)
    assert compute.calls == 2
    assert entries(tmp_path) == []


def test_digests_of_equal_things_are_equal(given, tokenizer):
    copied = jax.tree.map(jnp.copy, given["params"])
    assert params_digest(copied) == params_digest(given["params"])
    assert rows_digest(list(ROWS)) == rows_digest(ROWS)
    moved = dataclasses.replace(tokenizer, source="elsewhere")
    assert tokenizer_digest(moved) == tokenizer_digest(tokenizer)
    # Which leaf holds which numbers counts.
    one, other = jnp.zeros(2), jnp.ones(2)
    assert params_digest({"a": one, "b": other}) != params_digest(
        {"a": other, "b": one}
    )
