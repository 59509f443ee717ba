"""One browser for all tests of the page."""

from collections.abc import Iterator

import pytest

from tests.report.browser import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium; skips where none is installed."""
    opened = Browser()
    yield opened
    opened.close()
