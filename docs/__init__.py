"""The documentation, part of it generated: `python -m docs.generate`."""
