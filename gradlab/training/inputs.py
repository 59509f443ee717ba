"""What a run starts from: model, reference, tokenizer and rows of data."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import jax
from rich.console import Console

from gradlab.data import TokenizedPair, Tokenizer, load_tokenizer
from gradlab.data.demonstrations import holds_pairs, read_demonstrations
from gradlab.data.embedded import embedded_model_folder
from gradlab.data.pairs import PairFile, read_pairs
from gradlab.data.tokenized import tokenize_pairs
from gradlab.errors import GradlabError
from gradlab.inputs.loading import embedded_pairs, same_tokens
from gradlab.inputs.progress import say
from gradlab.models.config import DecoderConfig
from gradlab.models.functional import LanguageModel, build, language_model
from gradlab.models.hub import load_model, read_config, resolve_folder
from gradlab.models.llama_layout import parameter_count
from gradlab.models.sharding import make_mesh, shard_params
from gradlab.training.config import DataSettings, TrainConfig
from gradlab.training.config_checks import refuse
from gradlab.types import Params

EMBEDDED_ROWS = 2000


@dataclass(frozen=True)
class Inputs:
    """Everything loaded.

    Attributes:
      model: the policy's functions.
      params: its parameters at the start.
      reference: another model as the frozen reference, or None: the policy at the
        start.
      tokenizer: the policy's.
      rows: what is learned from.
      probe_rows: pairs that are probed.
      digest: SHA-256 of the data.
      notes: what was cut, merged or left out, one line each.
    """

    model: LanguageModel
    params: Params
    reference: tuple[LanguageModel, Params] | None
    tokenizer: Tokenizer
    rows: list[TokenizedPair]
    probe_rows: list[TokenizedPair]
    digest: str
    notes: list[str]


def load_on_devices(config: TrainConfig, console: Console) -> Inputs:
    """`load_inputs`, with the parameters on the devices of the run.

    Raises:
      GradlabError: as `load_inputs`, or a mesh that the devices don't fill.
    """
    data, fsdp = config.mesh.data, config.mesh.fsdp
    if data * fsdp == jax.process_count() == 1:
        return load_inputs(config, console)
    mesh = make_mesh(data, fsdp)
    with jax.default_device("cpu"):  # one device alone may have no room for them
        inputs = load_inputs(config, console)
    reference = inputs.reference
    if reference is not None:
        reference = (reference[0], shard_params(reference[1], mesh))
    params = shard_params(inputs.params, mesh)
    return replace(inputs, params=params, reference=reference)


def load_inputs(config: TrainConfig, console: Console) -> Inputs:
    """Loads what the settings name; what was left out is said and kept as notes.

    Raises:
      GradlabError: a setting, a model folder, a tokenizer or a row of the data.
    """
    # Pairs as text first: they are refused in a second, before weights are read.
    text = _read_pairs(config) if _are_pairs(config) else None
    tokenizer, model, params = _policy(config)
    reference = _reference(config, tokenizer)
    longest = _max_length(config, model)
    if text is not None:
        tokenized = _tokenized(config, text, tokenizer, longest)
        rows, digest = tokenized.pairs, text.digest
        notes = [text.summary(), *tokenized.report.lines()]
    else:
        found = read_demonstrations(
            str(config.data.path),
            tokenizer,
            max_length=longest,
            append_eos=config.data.append_eos,
            limit=config.data.limit,
            on_bad_row=config.data.on_bad_row,
        )
        rows, digest, notes = found.pairs, found.digest, found.notes
    # Of a text in pieces only the first is probed: rows of data are the key of tables.
    distinct = {row.row: row for row in reversed(rows)}
    probed = list(distinct.values())[::-1][: config.probes.pairs]
    if config.probes.path is not None:
        settings = replace(
            config.data, path=config.probes.path, limit=config.probes.pairs
        )
        other = replace(config, data=settings)
        probed = _tokenized(config, _read_pairs(other), tokenizer, longest).pairs
    if config.stage != "preference":
        rows = [replace(row, rejected=[], rejected_eos=False) for row in rows]
    for note in notes:
        say(console, note)
    return Inputs(model, params, reference, tokenizer, rows, probed, digest, notes)


def _are_pairs(config: TrainConfig) -> bool:
    path = config.data.path
    return path is None or config.stage == "preference" or holds_pairs(path)


def _read_pairs(config: TrainConfig) -> PairFile:
    data: DataSettings = config.data
    if data.path is not None:
        return read_pairs(data.path, limit=data.limit, on_bad_row=data.on_bad_row)
    count, alone = data.limit or EMBEDDED_ROWS, config.stage != "preference"
    return embedded_pairs(count, config.seed, every_length=alone)


def _tokenized(config: TrainConfig, text: PairFile, tokenizer: Tokenizer, longest: int):
    return tokenize_pairs(
        text,
        tokenizer,
        max_length=longest,
        append_eos=config.data.append_eos,
        truncation=config.data.truncation,
        on_bad_row=config.data.on_bad_row,
    )


def _policy(config: TrainConfig) -> tuple[Tokenizer, LanguageModel, Params]:
    tokenizer, model, params = _weights(config)
    if model.config is not None and (config.model.scan or config.model.remat):
        model = language_model(
            model.config, scan=config.model.scan, remat=config.model.remat
        )
    return tokenizer, model, params


def _weights(config: TrainConfig) -> tuple[Tokenizer, LanguageModel, Params]:
    settings = config.model
    if settings.config is not None:
        tokenizer = load_tokenizer(str(settings.tokenizer))
        shape = read_config(settings.config)
        _require_room(shape, settings.config)
        return tokenizer, *build(shape, seed=config.seed)
    place = _place(settings.path or str(embedded_model_folder()), settings.tokenizer)
    tokenizer = load_tokenizer(settings.tokenizer or place)
    model, params = load_model(place)
    if settings.fresh and model.config is not None:
        return tokenizer, *build(model.config, seed=config.seed)
    return tokenizer, model, params


def _require_room(shape: DecoderConfig, source: Path) -> None:
    """Refuses a model that no memory of this machine holds, before it is made."""
    wanted = 4 * parameter_count(shape)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if wanted > there:
        raise GradlabError(
            f"{source}: a model of {wanted / 1e9:.3g} GB of parameters, expected one "
            f"that fits the {there / 1e9:.3g} GB of memory"
        )


def _place(source: str, tokenizer: str | None) -> str | Path:
    if Path(source).suffix != ".gguf":
        return resolve_folder(source)
    if tokenizer is None:
        refuse("model.tokenizer", None, f"a folder, since {source} holds weights only")
    return source


def _reference(
    config: TrainConfig, tokenizer: Tokenizer
) -> tuple[LanguageModel, Params] | None:
    source = config.model.reference
    if source is None:
        return None
    place = _place(source, config.model.tokenizer)
    if Path(place).is_dir() and not same_tokens(load_tokenizer(place), tokenizer):
        raise GradlabError(
            f"model.reference is {source}, whose tokenizer differs from the "
            "policy's; expected one that gives the same tokens"
        )
    return load_model(place)


def _max_length(config: TrainConfig, model: LanguageModel) -> int:
    asked, context = config.data.max_length, None
    if model.config is not None:
        context = model.config.max_length
    if asked is None and context is not None:
        return context
    if asked is None or asked < 2 or (context is not None and asked > context):
        refuse("data.max_length", asked, f"2 to {context}, the model's context")
    return asked  # pyright: ignore[reportReturnType]
