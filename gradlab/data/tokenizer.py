"""Loads a tokenizer from a model's folder.

Only data files are read (`tokenizer.json`, or GPT-2's `vocab.json` and `merges.txt`,
and the JSON files beside them). Code that a folder may hold or name is never run.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from gradlab.data.encoding import Tokenizer as Tokenizer
from gradlab.data.encoding import encoded
from gradlab.disk import read_object
from gradlab.errors import DataError

BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
NAMES = ("bos_token", "eos_token", "pad_token", "unk_token")
MOST_IDS = 2**31  # batches are int32
GPT2_CLASSES = (None, "GPT2Tokenizer", "GPT2TokenizerFast")


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Loads the tokenizer of a model's folder.

    `tokenizer.json` is read by the package tokenizers; without one, `vocab.json` and
    `merges.txt` make GPT-2's byte-level BPE. Special tokens come from
    `tokenizer_config.json`, then `special_tokens_map.json`, then the ids in
    `generation_config.json` and `config.json`. BOS is the tokenizer's convention if
    `add_bos_token` says so or, where that is silent, if the post-processor puts it in
    front. The chat template is `chat_template.jinja` or, failing that, the one in
    `tokenizer_config.json`. Truncation and padding set in the file are switched off.

    Args:
      folder: the folder, or the tokenizer.json in it.

    Raises:
      DataError: a file is missing or malformed, or names a BOS or EOS that the
        vocabulary lacks. (An unknown pad token becomes None: masks don't need it.)

    Guarantees:
      No code from the folder is run, nothing is downloaded.
    """
    path = Path(folder)
    if path.name == "tokenizer.json" and path.is_file():
        path = path.parent
    if not path.is_dir():
        raise DataError(f"{folder}: no such folder, expected one with tokenizer.json.")
    config = _read_json(path / "tokenizer_config.json")
    inner = _read_inner(path, config)
    inner.no_truncation()
    inner.no_padding()
    texts = _special_texts(path, config)
    ids = {name: _special_id(path, inner, name, texts) for name in NAMES[:3]}
    for name, text_id in ids.items():
        if text_id is not None and name not in texts:
            texts[name] = inner.id_to_token(text_id) or ""
    tokenizer = Tokenizer(
        inner,
        bos_id=ids["bos_token"],
        eos_id=ids["eos_token"],
        pad_id=ids["pad_token"],
        adds_bos=_adds_bos(inner, config, ids["bos_token"], str(folder)),
        chat_template=_chat_template(path, config),
        special_tokens=texts,
        source=str(folder),
    )
    if tokenizer.highest_id >= MOST_IDS:
        raise DataError(
            f"{folder}: a token has the id {tokenizer.highest_id}, expected all below "
            f"{MOST_IDS}."
        )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: str | Path) -> None:
    """Writes a tokenizer beside a model, so that transformers reads it too.

    Args:
      tokenizer: its `tokenizer.json` is written anew; the files that go with that are
        copied from its source, or made where the source has no configuration.
      folder: which exists.

    Guarantees:
      `load_tokenizer` of the folder gives the same ids.
    """
    folder, source = Path(folder), Path(tokenizer.source)
    source = source.parent if source.is_file() else source
    text = tokenizer.inner.to_str(pretty=True)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    for name in BESIDE:
        if (source / name).is_file():
            shutil.copy(source / name, folder / name)
    config = folder / BESIDE[0]
    if not config.exists():
        fields = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **tokenizer.special_tokens,
        }
        config.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    return read_object(path, DataError) if path.exists() else {}


def _read_inner(path: Path, config: dict[str, Any]) -> tokenizers.Tokenizer:
    file = path / "tokenizer.json"
    if file.is_file():
        try:
            return tokenizers.Tokenizer.from_file(str(file))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # the package raises bare Exception, and panics
            raise DataError(f"{file}: not a usable tokenizer: {error}.") from error
    vocabulary, merges = path / "vocab.json", path / "merges.txt"
    if not (vocabulary.is_file() and merges.is_file()):
        raise DataError(
            f"{path}: found neither tokenizer.json nor vocab.json with merges.txt."
        )
    kind = config.get("tokenizer_class")
    if kind not in GPT2_CLASSES:
        raise DataError(
            f"{path}: {kind} without tokenizer.json: vocab.json and merges.txt don't"
            " tell how it splits texts. Save it with tokenizer.json."
        )
    return _gpt2(path, vocabulary, merges, config)


def _gpt2(
    path: Path, vocabulary: Path, merges: Path, config: dict[str, Any]
) -> tokenizers.Tokenizer:
    try:
        inner = tokenizers.Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
    except Exception as error:  # the package raises bare Exception
        raise DataError(f"{path}: vocab.json with merges.txt: {error}.") from error
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=bool(config.get("add_prefix_space", False))
    )
    inner.decoder = decoders.ByteLevel()
    known = inner.get_vocab()
    texts = dict.fromkeys(_special_texts(path, config).values())
    inner.add_special_tokens([text for text in texts if text in known])
    return inner


def _special_texts(path: Path, config: dict[str, Any]) -> dict[str, str]:
    """Names to token texts; the tokenizer's configuration goes first."""
    found: dict[str, str] = {}
    for source in (config, _read_json(path / "special_tokens_map.json")):
        for name in NAMES:
            text = source.get(name)
            text = text.get("content") if isinstance(text, dict) else text
            if isinstance(text, str) and text:
                found.setdefault(name, text)
    return found


def _special_id(
    path: Path, inner: tokenizers.Tokenizer, name: str, texts: dict[str, str]
) -> int | None:
    if name in texts:
        try:
            token = inner.token_to_id(texts[name])
        except UnicodeEncodeError:  # a lone surrogate
            token = None
        if token is None and name != "pad_token":
            raise DataError(
                f"{path}: {name} is {texts[name]!r}, which is not in the vocabulary."
            )
        return token
    for file in ("generation_config.json", "config.json"):
        token = _read_json(path / file).get(f"{name}_id")
        token = token[0] if isinstance(token, list) and token else token
        if not isinstance(token, int) or isinstance(token, bool) or token >= 2**32:
            continue
        if inner.id_to_token(max(token, 0)) is not None:
            return token if token >= 0 else None
    return None


def _adds_bos(
    inner: tokenizers.Tokenizer, config: dict[str, Any], bos_id: int | None, source: str
) -> bool:
    if bos_id is None:
        return False
    if isinstance(config.get("add_bos_token"), bool):
        return config["add_bos_token"]
    return encoded(inner, [""], special=True, source=source)[0][:1] == [bos_id]


def _chat_template(path: Path, config: dict[str, Any]) -> str | None:
    file = path / "chat_template.jinja"
    if file.is_file():
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file}: can't be read: {error}.") from error
    found = config.get("chat_template")
    if isinstance(found, list):  # several named templates
        named = [t for t in found if isinstance(t, dict) and t.get("name") == "default"]
        found = named[-1].get("template") if named else None
    if found is not None and not isinstance(found, str):
        raise DataError(f"{path}: chat_template: expected a string.")
    return found
