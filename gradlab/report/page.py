"""The page itself: template, style and script of this package, and the data."""

import base64
import functools
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import jinja2

from gradlab.report.packing import page_json

SCRIPTS = (
    "text", "data", "scale", "tokens", "profile", "card", "list", "curves", "chart",
    "summary", "provenance", "main",
)  # fmt: skip


def render_page(runs: Sequence[dict[str, Any]], *, single: bool = False) -> str:
    """The HTML page.

    Args:
      runs: from `gradlab.report.payload.run_payload`.
      single: only the pair's text, as notebooks show it.

    Returns:
      A whole document that loads nothing: its content security policy admits only its
      own style and script, by their hash, and no function that parses text as HTML.
      Data stand in it as JSON without `<`, and the script writes them as text.
    """
    style, script = _asset("report.css"), _script()
    rules = (
        "default-src 'none'",
        f"script-src '{_digest(script)}'",
        f"style-src '{_digest(style)}'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return _template().render(
        policy="; ".join(rules),
        style=style,
        script=script,
        data=page_json({"runs": list(runs), "single": single}),
        single=single,
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.from_string(_asset("page.html"))


@functools.cache
def _script() -> str:
    """The files one after another inside a function, so that no name is global."""
    parts = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


@functools.cache
def _asset(name: str) -> str:
    return files("gradlab.report").joinpath("assets", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
