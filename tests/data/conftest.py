import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from gradlab.data.tokenizer import Tokenizer, load_tokenizer
from tests.data.folders import byte_level, marks, write_folder


@pytest.fixture(scope="session")
def byte_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Byte-level, BOS and EOS, no BOS by convention, pad is EOS."""
    folder = write_folder(
        tmp_path_factory.mktemp("bytes"),
        byte_level(),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
    )
    return load_tokenizer(folder)


@pytest.fixture(scope="session")
def mark_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """SentencePiece-like, BOS by convention."""
    folder = write_folder(
        tmp_path_factory.mktemp("marks"), marks(), bos_token="<s>", eos_token="</s>"
    )
    return load_tokenizer(folder)


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Writes objects, strings or bytes as the lines of a file."""

    def write(rows: Iterable[object], name: str = "pairs.jsonl") -> Path:
        lines = []
        for row in rows:
            row = row if isinstance(row, str | bytes) else json.dumps(row)
            lines.append(row.encode() if isinstance(row, str) else row)
        path = tmp_path / name
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    return write
