"""Model folders and GGUF files of any content: loaded, or refused with a reason."""

import json
import struct

import numpy as np
import pytest
from hypothesis import strategies as st

from gradlab.data import load_tokenizer
from gradlab.data.embedded import embedded_model_folder
from gradlab.models import DecoderConfig, build, load_model, save_model
from gradlab.models.hub import INDEX, read_config
from tests.fuzz.cases import (
    HUGE,
    VALUES,
    changed,
    damaged,
    fuzz,
    loads_or_refuses,
    objects,
    sizes,
)

SHAPE = DecoderConfig(
    vocab_size=11, width=8, layers=1, heads=2, ff_width=12, max_length=16
)
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A tiny model's files by name."""
    folder = save_model(tmp_path_factory.mktemp("m") / "model", SHAPE, build(SHAPE)[1])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(sound, tmp_path):
    for name, content in sound.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def load(folder):
    model, params = load_model(folder)
    assert model.config is not None
    for name in ("embed", "norm", "layers"):
        assert name in params


def split(content: bytes) -> tuple[dict, bytes]:
    """Header and data of a safetensors file."""
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def joined(header, data: bytes, size: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


@sizes(30, 900)
def test_config(most, folder, sound):
    path = folder / "config.json"
    good = json.loads(sound["config.json"])
    drawn = changed(good).map(json.dumps).map(str.encode)
    values = VALUES.map(json.dumps).map(str.encode)

    def check(content):
        path.write_bytes(content)
        loads_or_refuses(lambda: read_config(path), path)
        loads_or_refuses(lambda: load(folder), folder)

    fuzz(most, check, drawn | values | damaged(sound["config.json"]))


DTYPES = st.sampled_from(
    ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "U8", "BOOL", "C64", "X"]
)
NUMBERS = st.integers(-3, 700) | HUGE.filter(lambda x: isinstance(x, int))


@sizes(40, 1400)
def test_tensors(most, folder, sound):
    header, data = split(sound[WEIGHTS])
    names = sorted(set(header) - {"__metadata__"})
    entry = objects(
        {
            "dtype": DTYPES,
            "shape": st.lists(NUMBERS, max_size=3),
            "data_offsets": st.lists(NUMBERS, min_size=2, max_size=2),
        }
    )
    part = st.sampled_from(names).flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.sampled_from(
                [{"dtype": d} for d in ("F16", "I32", "BOOL", "F8_E4M3")]
            ).map(lambda change: header[name] | change)
            | entry
            | st.sampled_from(names).map(header.get),
        )
    )
    files = st.builds(
        lambda parts, tail, size: joined(header | dict(parts), data + tail, size),
        st.lists(part, min_size=1, max_size=3),
        st.sampled_from([b"", b"\0"]),
        st.none() | st.integers(0, 2**64 - 1),
    )

    def check(content):
        (folder / WEIGHTS).write_bytes(content)
        loads_or_refuses(lambda: load(folder), folder)

    fuzz(most, check, files | damaged(sound[WEIGHTS]))


@sizes(15, 400)
def test_index(most, folder, sound):
    (folder / WEIGHTS).rename(folder / "a.safetensors")
    names = sorted(set(split(sound[WEIGHTS])[0]) - {"__metadata__"})
    good = dict.fromkeys(names, "a.safetensors")
    places = st.sampled_from(
        ["a.safetensors", "../a.safetensors", "/etc/passwd", "b.safetensors", "", "."]
    )
    maps = st.dictionaries(st.sampled_from(names) | st.text(), places | VALUES)

    def check(index):
        (folder / INDEX).write_text(json.dumps(index))
        loads_or_refuses(lambda: load(folder), folder)

    changes = maps.map(lambda more: {"weight_map": good | more})
    fuzz(most, check, changes | st.just({"weight_map": good}) | VALUES)
    (folder / INDEX).write_text(json.dumps({"weight_map": good}))
    load(folder)


@sizes(15, 500)
def test_tokenizer(most, tmp_path):
    files = ("tokenizer.json", "tokenizer_config.json")
    content = {n: (embedded_model_folder() / n).read_bytes() for n in files}
    whole = json.loads(content[files[0]])
    small = whole | {"model": whole["model"] | {"vocab": {"a": 0}, "merges": []}}
    drawn = (
        st.tuples(st.just(files[0]), damaged(content[files[0]]))
        | st.tuples(st.just(files[0]), changed(small).map(json.dumps).map(str.encode))
        | st.tuples(st.just(files[0]), changed(small["model"]).map(
            lambda model: json.dumps(small | {"model": model}).encode()))
        | st.tuples(st.just(files[1]), damaged(content[files[1]]))
        | st.tuples(st.just(files[1]), changed(json.loads(content[files[1]])).map(
            json.dumps).map(str.encode))
        | st.tuples(st.just("special_tokens_map.json"), objects(
            {"eos_token": VALUES, "bos_token": VALUES}).map(json.dumps).map(str.encode))
    )  # fmt: skip

    def check(file):
        for name in files:
            (tmp_path / name).write_bytes(content[name])
        (tmp_path / file[0]).write_bytes(file[1])
        found = loads_or_refuses(lambda: load_tokenizer(tmp_path), tmp_path)
        (tmp_path / file[0]).unlink()
        if found is not None:
            loads_or_refuses(lambda: found.encode("2 + 2 = 4"), tmp_path)
            loads_or_refuses(lambda: found.token_texts([0, 1]), tmp_path)

    fuzz(most, check, drawn)


@sizes(10, 300)
def test_gguf(most, tmp_path):
    pytest.importorskip("gguf")
    content = gguf_file(tmp_path / "good.gguf")
    path = tmp_path / "m.gguf"

    def check(content):
        path.write_bytes(content)
        loads_or_refuses(lambda: load(path), path)

    # The header and the metadata are a small part, at the beginning.
    ahead = damaged(content[:2000]).map(lambda head: head + content[2000:])
    fuzz(most, check, ahead | damaged(content))
    path.write_bytes(content)
    load(path)


def gguf_file(path) -> bytes:
    from tests.models.test_gguf import CONFIG, write

    write(path, CONFIG, build(CONFIG)[1])
    return path.read_bytes()


def test_headers_are_near_to_good_ones(folder, sound):
    """What the fuzz changes loads when it is not changed."""
    header, data = split(sound[WEIGHTS])
    (folder / WEIGHTS).write_bytes(joined(header, data))
    load(folder)
    assert np.frombuffer(data, np.float32).size == sum(
        np.prod(entry["shape"]) for n, entry in header.items() if n != "__metadata__"
    )
