"""Chat templates, rendered in a sandbox.

A template comes with a tokenizer and is somebody else's program, so it runs in jinja2's
`ImmutableSandboxedEnvironment`: no access to Python internals, no change of the
messages. `strftime_now`, which some templates use when it is there, is left undefined,
and so is what draws at random: the same messages give the same text on every day.

What a template prints is bounded, and how far it counts. Its time and memory are not.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gradlab.errors import DataError

MOST_CHARS = 1 << 25  # of one text; several times what rows may hold
MOST_NUMBERS = 100_000  # of all ranges that one text takes


class _Generation(Extension):
    """Renders the inside of {% generation %} blocks, which only mark where masks go."""

    tags = frozenset({"generation"})  # pyright: ignore[reportAssignmentType]

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Puts the statements of the block in its place."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def render_template(
    template: str,
    messages: Sequence[dict[str, Any]],
    *,
    add_generation_prompt: bool,
    special_tokens: dict[str, str],
    source: str = "chat template",
) -> str:
    """Renders messages by a jinja2 chat template, as transformers does.

    Args:
      template: the jinja2 source.
      messages: objects with at least role and content.
      add_generation_prompt: whether the text ends where an assistant message begins.
      special_tokens: bos_token, eos_token and so on, for templates that print them.
      source: the template's file, for messages.

    Returns:
      The text.

    Raises:
      DataError: the template is malformed, reaches for Python internals, refuses the
        messages (`raise_exception`), prints or counts without end, or fails on them.
    """
    try:
        pieces = _compiled(template).generate(
            messages=[dict(message) for message in messages],
            add_generation_prompt=add_generation_prompt,
            tools=None,
            documents=None,
            range=_ranges(),
            **special_tokens,
        )
        return _joined(pieces, source)
    except DataError:
        raise
    except SecurityError as error:
        raise DataError(
            f"{source}: the chat template reaches for Python internals ({error}),"
            " which is not allowed. Don't use this tokenizer's template."
        ) from error
    except jinja2.TemplateSyntaxError as error:
        raise DataError(
            f"{source}: the chat template is malformed: {error.message} (its line"
            f" {error.lineno})."
        ) from error
    except Exception as error:  # a template is a program and may fail in any way
        detail = " ".join(str(error).split())[:200]
        raise DataError(
            f"{source}: the chat template fails on these messages:"
            f" {type(error).__name__}: {detail}"
        ) from error


def _joined(pieces: Iterable[str], source: str) -> str:
    kept, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > MOST_CHARS:
            raise DataError(
                f"{source}: the chat template prints more than {MOST_CHARS:,}"
                " characters for one conversation."
            )
        kept.append(piece)
    return "".join(kept)


def _ranges() -> Callable[..., range]:
    """A `range` for one text: loops in loops come to an end together."""
    left = MOST_NUMBERS

    def limited(*bounds: int) -> range:
        nonlocal left
        found = range(*bounds)
        left -= len(found)
        if left < 0:
            raise OverflowError(f"ranges of more than {MOST_NUMBERS:,} numbers")
        return found

    return limited


class _Sandbox(ImmutableSandboxedEnvironment):
    """Refuses internals at once; jinja2 alone lets a bare access print as nothing."""

    def unsafe_undefined(self, obj: Any, attribute: str) -> jinja2.Undefined:
        """Raises instead of returning something to stumble over later."""
        kind = type(obj).__name__
        raise SecurityError(f"attribute {attribute[:60]!r} of {kind!r}")


@lru_cache(maxsize=8)
def _compiled(template: str) -> jinja2.Template:
    environment = _Sandbox(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", _Generation],
    )
    environment.globals["raise_exception"] = _refuse
    environment.filters["tojson"] = _to_json
    del environment.globals["lipsum"], environment.filters["random"]
    return environment.from_string(template)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(found: Any, indent: int | None = None) -> str:
    return json.dumps(found, ensure_ascii=False, indent=indent)


def render_plain(
    messages: Sequence[dict[str, Any]], *, add_generation_prompt: bool
) -> str:
    """The text of a conversation where a tokenizer has no chat template.

    One "role: content" after the other, with a line end between them; the generation
    prompt is "assistant:" on a new line. So a response begins with a space.

    Example:
      >>> ask = [{"role": "user", "content": "2 + 2?"}]
      >>> render_plain(ask, add_generation_prompt=True)
      'user: 2 + 2?\\nassistant:'
    """
    lines = [f"{message['role']}: {message['content']}" for message in messages]
    return "\n".join([*lines, "assistant:"] if add_generation_prompt else lines)
