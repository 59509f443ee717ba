"""Model folders made to harm: refused with a reason, in bounded memory and time."""

import json
import os
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gradlab.errors import CheckpointError
from gradlab.models import build, load_model, save_model
from gradlab.models.hub import INDEX
from tests.models.cases import LLAMA

WEIGHTS, NORM = "model.safetensors", "model.norm.weight"


@pytest.fixture
def folder(tmp_path):
    return save_model(tmp_path / "model", LLAMA, build(LLAMA)[1])


def refused(folder, message):
    with pytest.raises(CheckpointError, match=message) as error:
        load_model(folder)
    assert str(folder) in str(error.value)


def with_tensors(folder, **changes):
    """Replaces tensors by name; None takes one away."""
    tensors = load_file(folder / WEIGHTS) | changes
    save_file({k: v for k, v in tensors.items() if v is not None}, folder / WEIGHTS)


NORMS = np.ones(LLAMA.width, np.float32)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (NORMS[:-1], r"model.norm.weight has shape \(15,\), expected \(16,\)"),
        (NORMS[:, None], r"has shape \(16, 1\)"),
        (None, "misses tensor model.norm.weight"),
        (NORMS * np.nan, "has a value that is not finite"),
        (NORMS * np.inf, "has a value that is not finite"),
        (NORMS.astype(np.float64) * 1e300, "not finite as float32"),
        (NORMS.astype(np.int32), "has dtype int32, expected a float"),
        (NORMS.astype(bool), "has dtype bool, expected a float"),
        (NORMS.astype(np.uint8), "has dtype uint8, expected a float"),
    ],
    ids=["short", "matrix", "absent", "nan", "inf", "wide", "int", "bool", "bytes"],
)
def test_a_tensor_that_does_not_fit(value, message, folder):
    with_tensors(folder, **{NORM: value})
    refused(folder, message)


def test_a_tensor_too_many(folder):
    with_tensors(folder, **{"model.layers.7.extra": NORMS})
    refused(folder, "has unexpected tensor model.layers.7.extra")


def rewritten(folder, change, *, size=None):
    """Changes the header of the safetensors file; the data stay."""
    content = (folder / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    size = len(text) if size is None else size
    data = content[8 + length :]
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", size) + text + data)


def entry(**changes):
    return lambda header: header[NORM].update(changes)


def overlap(header):
    other = next(n for n in header if n not in (NORM, "__metadata__"))
    start = header[other]["data_offsets"][0]
    header[NORM]["data_offsets"] = [start, start + 4 * LLAMA.width]


@pytest.mark.parametrize(
    "change",
    [
        overlap,
        entry(data_offsets=[-64, 0]),
        entry(data_offsets=[64, 0]),
        entry(data_offsets=[0, 2**63]),
        entry(data_offsets=[2**64 - 1, 2**64]),
        entry(shape=[2**62, 2**62]),
        entry(shape=[-16]),
        entry(shape=[0]),
        entry(dtype="F8_E4M3"),
        entry(dtype="F9"),
        entry(dtype="F16"),
        lambda header: header.update(extra=[]),
    ],
    ids=[
        "overlap", "negative", "reversed", "beyond", "overflow", "huge shape",
        "negative shape", "no shape", "8 bits", "no dtype", "16 bits", "list",
    ],
)  # fmt: skip
def test_a_header_that_lies(change, folder):
    rewritten(folder, change)
    refused(folder, "not a readable safetensors file")


@pytest.mark.parametrize("size", [0, 3, 10**8 + 1, 2**63, 2**64 - 1])
def test_a_header_of_another_size(size, folder):
    rewritten(folder, lambda header: None, size=size)
    refused(folder, "not a readable safetensors file")


@pytest.mark.parametrize("left", [0, 4, 8, 100, -1])
def test_truncated_weights(left, folder):
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:left])
    refused(folder, "not a readable safetensors file")


def indexed(folder, name="a.safetensors"):
    places = dict.fromkeys(load_file(folder / WEIGHTS), name)
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))


def test_a_link_out_of_the_folder(folder, tmp_path):
    outside = tmp_path / "outside.safetensors"
    indexed(folder)
    (folder / WEIGHTS).rename(outside)
    (folder / "a.safetensors").symlink_to(outside)
    refused(folder, "a.safetensors: a link to .*, expected a file in the folder itself")
    outside.rename(folder / "b.safetensors")
    (folder / "a.safetensors").unlink()
    (folder / "a.safetensors").symlink_to("b.safetensors")
    load_model(folder)


def test_the_links_of_the_hubs_cache_are_followed(folder, tmp_path):
    """snapshots/REVISION/NAME links to blobs/DIGEST."""
    cache = tmp_path / "models--owner--name"
    (cache / "snapshots").mkdir(parents=True)
    (cache / "blobs").mkdir()
    indexed(folder)
    (folder / WEIGHTS).rename(cache / "blobs" / "digest")
    snapshot = folder.rename(cache / "snapshots" / "revision")
    (snapshot / "a.safetensors").symlink_to("../../blobs/digest")
    load_model(snapshot)
    (snapshot / "a.safetensors").unlink()
    (tmp_path / "elsewhere").write_bytes((cache / "blobs" / "digest").read_bytes())
    (snapshot / "a.safetensors").symlink_to("../../../elsewhere")
    refused(snapshot, "a link to")


@pytest.mark.parametrize(
    "name",
    ["../a.safetensors", "/a.safetensors", "./a.safetensors", "x/a.safetensors",
     "..", "", "a.safetensors\n", "~/a.safetensors", "a\0.safetensors", ["a"]],
)  # fmt: skip
def test_names_of_shards_are_plain(name, folder):
    places = dict.fromkeys(load_file(folder / WEIGHTS), "a.safetensors")
    (folder / WEIGHTS).rename(folder / "a.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": places | {NORM: name}}))
    refused(folder, "weight_map puts model.norm.weight into")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"vocab_size": 5, ', "the key 'vocab_size' stands twice"),
        ('"x": ' + "[" * 90_000 + "]" * 90_000 + ", ", "not readable as JSON"),
        ('"x": ' + "1" * 9_000 + ", ", "not readable as JSON"),
    ],
    ids=["twice", "deep", "long number"],
)
def test_a_config_made_to_mislead(text, message, folder):
    config = folder / "config.json"
    config.write_text("{" + text + config.read_text()[1:])
    refused(folder, message)


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name, folder):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    refused(folder, "not a regular file|neither model.safetensors")


BOUNDED = """
import resource, sys
from rich.console import Console
from gradlab.errors import GradlabError
from gradlab.models import load_model
from gradlab.training.config import ModelSettings, TrainConfig
from gradlab.training.inputs import load_inputs

def used():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB

folder, config, tokenizer = sys.argv[1:]
load_model(folder)  # what is loaded at first use does not count
before = used()
fresh = ModelSettings(config=config, tokenizer=tokenizer)
for act in (
    lambda: load_model(config.removesuffix("/config.json")),
    lambda: load_inputs(TrainConfig(model=fresh), Console(quiet=True)),
):
    try:
        act()
    except GradlabError as error:
        print(str(error)[:200])
    else:
        sys.exit("was not refused")
assert used() - before < 200_000, f"{used() - before} kB more"
"""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocab_size", 10**12),
        ("hidden_size", 10**9),
        ("intermediate_size", 2**40),
        ("num_attention_heads", 10**9),
    ],
)
def test_a_config_that_claims_a_huge_model(field, value, folder, tmp_path):
    """Neither loading nor a fresh start of that shape reserves the memory."""
    from gradlab.data.embedded import embedded_model_folder

    lying = tmp_path / "lying"
    save_model(lying, LLAMA, build(LLAMA)[1])
    fields = json.loads((lying / "config.json").read_text()) | {field: value}
    if field == "num_attention_heads":
        fields |= {"num_key_value_heads": value, "head_dim": 64}
    (lying / "config.json").write_text(json.dumps(fields))
    arguments = [folder, lying / "config.json", embedded_model_folder()]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BOUNDED), *map(str, arguments)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "expected" in first
    assert "GB of parameters, expected one that fits" in second
