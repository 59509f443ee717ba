"""What griffe passes to mkdocstrings: docstrings as Markdown."""

from typing import Any

import griffe

from docs.pages.text import markdown


class Docstrings(griffe.Extension):
    """Puts formulas and examples of docstrings into blocks, and escapes the rest."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring as it is loaded."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
