"""Model folders in and out, and the refusal of everything that is not one."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gradlab.errors import CheckpointError, GradlabError, MissingExtraError
from gradlab.models import build, load_model, resolve_folder, save_model
from gradlab.models.logps import token_logps
from tests.models.cases import GPT2, LLAMA, UNTIED, random_tokens

INDEX = "model.safetensors.index.json"
CONFIGS = pytest.mark.parametrize("config", [LLAMA, UNTIED])


@pytest.fixture
def folder(tmp_path):
    return save_model(tmp_path / "model", LLAMA, build(LLAMA)[1])


def shard(folder, places=None, shards=("a.safetensors", "b.safetensors")):
    """Splits the weights into two files with an index; returns the index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = [names[:7], names[7:]]
    for file, part in zip(shards, parts, strict=True):
        save_file({name: tensors[name] for name in part}, folder / file)
    found = {n: f for f, part in zip(shards, parts, strict=True) for n in part}
    index = {"metadata": {}, "weight_map": found | (places or {})}
    (folder / INDEX).write_text(json.dumps(index))
    return index["weight_map"]


@CONFIGS
def test_round_trip_gives_the_same_bits_and_the_same_function(config, tmp_path):
    model, params = build(config)
    folder = save_model(tmp_path / "new" / "model", config, params)
    again, loaded = load_model(folder)
    jax.tree.map(np.testing.assert_array_equal, loaded, params)
    tokens = random_tokens(config, 2, 8)
    np.testing.assert_array_equal(
        jax.jit(again.apply)(loaded, tokens), jax.jit(model.apply)(params, tokens)
    )


def test_saves_in_the_asked_dtype_and_replaces_only_its_own_files(folder):
    (folder / "tokenizer.json").write_text("{}")
    save_model(folder, UNTIED, build(UNTIED, seed=3)[1], dtype="bfloat16", eos_id=5)
    fields = json.loads((folder / "config.json").read_text())
    assert (fields["torch_dtype"], fields["eos_token_id"]) == ("bfloat16", 5)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    model, params = load_model(folder, dtype="bfloat16")
    assert model.config.tied is False
    assert params["embed"]["embedding"].dtype == jnp.bfloat16


def test_a_failed_save_leaves_the_old_model(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("gradlab.models.hub.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_model(folder, LLAMA, build(LLAMA, seed=1)[1])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_can_not_be_written(folder, tmp_path):
    params = build(LLAMA, seed=1)[1]
    (tmp_path / "file").write_text("")
    with pytest.raises(GradlabError, match=r"can't write into .*file"):
        save_model(tmp_path / "file", LLAMA, params)
    before = (folder / "model.safetensors").read_bytes()
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    with pytest.raises(GradlabError, match="a folder has that name"):
        save_model(folder, LLAMA, params)
    assert (folder / "model.safetensors").read_bytes() == before


def test_saving_refuses_another_architecture_before_it_writes(tmp_path):
    with pytest.raises(GradlabError, match="the Llama layout"):
        save_model(tmp_path / "gpt2", GPT2, build(GPT2)[1])
    assert not (tmp_path / "gpt2").exists()


def test_sharded_weights(folder):
    _, whole = load_model(folder)
    shard(folder)
    _, parts = load_model(folder)
    jax.tree.map(np.testing.assert_array_equal, parts, whole)


@pytest.mark.parametrize(
    "name",
    ["../secret.safetensors", "/etc/x.safetensors", "a\\b.safetensors", "a.bin", 3, ""],
)
def test_shard_names_can_not_leave_the_folder(folder, name):
    shard(folder, {"model.norm.weight": name})
    with pytest.raises(
        CheckpointError, match=r"weight_map puts model\.norm\.weight into"
    ):
        load_model(folder)


def test_refuses_shards_and_index_that_disagree(folder):
    places = shard(folder)
    index = folder / INDEX

    def refuses(change, message):
        index.write_text(json.dumps({"weight_map": places | change}))
        with pytest.raises(CheckpointError, match=message):
            load_model(folder)

    refuses({"model.norm.weight": "c.safetensors"}, "c.safetensors: no such file")
    refuses({"extra": "a.safetensors"}, "tensor extra is not in it")
    moved = {EMBED: "b.safetensors"}
    refuses(moved, f"a.safetensors: holds tensor {EMBED}, which .* places in 'b.saf")
    index.write_text("{}")
    with pytest.raises(CheckpointError, match="weight_map is missing or empty"):
        load_model(folder)


EMBED = "model.embed_tokens.weight"


def test_names_the_file_that_is_absent_or_broken(folder):
    weights, config = folder / "model.safetensors", folder / "config.json"
    sound = weights.read_bytes()
    for bad in (b"", b"\x00" * 40, sound[: len(sound) // 2]):
        weights.write_bytes(bad)
        with pytest.raises(CheckpointError, match="not a readable safetensors file"):
            load_model(folder)
    weights.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"neither model.safetensors nor .*pickl"):
        load_model(folder)
    for bad in ("{", "[" * 100_000, '"text"', "\udcff"):
        config.write_text(bad, errors="surrogateescape")
        with pytest.raises(CheckpointError, match=r"config.json: (not read|expected)"):
            load_model(folder)
    config.unlink()
    with pytest.raises(CheckpointError, match=r"config.json: no such file"):
        load_model(folder)


@pytest.mark.parametrize(
    "name", ["no/such/folder", "no_such_folder", "../x/y", "/nowhere", "a b/c", "a/..b"]
)
def test_refuses_what_is_neither_a_folder_nor_a_hub_id(name):
    with pytest.raises(CheckpointError, match="no such folder, and no hub id of the"):
        load_model(name)


def test_refuses_a_file(folder):
    with pytest.raises(CheckpointError, match="a file, expected a folder"):
        load_model(folder / "config.json")


def test_a_hub_id_without_the_extra_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gradlab\[hub\]'"):
        load_model("some-owner/some-model")


def test_a_hub_id_downloads_safetensors_only(folder, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    calls = []

    def download(name, *, revision, allow_patterns):
        calls.append((name, revision, allow_patterns))
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", download)
    load_model("some-owner/some-model", revision="v1")
    ((name, revision, patterns),) = calls
    assert (name, revision) == ("some-owner/some-model", "v1")
    assert "*.safetensors" in patterns
    assert not any("bin" in p or "py" in p or p in ("*", "*.*") for p in patterns)


def test_a_failed_download_is_one_clear_message(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def download(*_, **__):
        raise ConnectionError("no route\nmore")

    monkeypatch.setattr(hub, "snapshot_download", download)
    with pytest.raises(CheckpointError, match=r"o/m: no such .* gave none: no route$"):
        load_model("o/m")


def test_refuses_a_dtype_that_would_be_narrowed(folder):
    with pytest.raises(GradlabError, match="dtype is float64, which jax narrows"):
        load_model(folder, dtype="float64")
    with pytest.raises(GradlabError, match="dtype is int32, expected a floating"):
        load_model(folder, dtype="int32")
    with jax.enable_x64(True):
        _, params = load_model(folder, dtype="float64")
        assert params["norm"]["scale"].dtype == jnp.float64


def test_resolve_gives_an_existing_folder_as_it_is(folder):
    assert resolve_folder(str(folder)) == folder


@pytest.mark.parametrize(("dtype", "limit"), [("float32", 2e-5), ("float64", 2e-5)])
def test_stories260k_gives_its_golden_log_probs(shared, dtype, limit):
    """The limit is the golden values' own error in float64: float32 cosines."""
    folder = shared / "data" / "models" / "stories260K"
    golden = json.loads((folder / "golden_logps.json").read_text())
    column = "token_logps" if dtype == "float32" else "token_logps_float64"
    with jax.enable_x64(dtype == "float64"):
        model, params = load_model(folder, dtype=dtype)

        @jax.jit
        def score(params, tokens):
            hidden, head = model.hidden(params, tokens), model.head(params)
            logps = token_logps(hidden[:, :-1], head, tokens[:, 1:])
            return logps[0], (hidden @ head)[0]

        for sentence in golden["sentences"]:
            tokens = jnp.asarray([sentence["input_ids"]], jnp.int32)
            logps, logits = score(params, tokens)
            assert logps.dtype == dtype
            np.testing.assert_allclose(logps, sentence[column], rtol=0, atol=limit)
            np.testing.assert_array_equal(
                logits.argmax(-1), sentence["argmax_next_ids"]
            )
            last = sentence["last_position_logits"]
            np.testing.assert_allclose(logits[-1], last, rtol=0, atol=1e-4)
