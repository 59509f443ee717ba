"""The site builds without a warning, needs no network, and holds every page."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.pages import commands, measures
from gradlab.cli import COMMANDS
from gradlab.losses import LOSSES
from tests.report.browser import Browser

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("material", reason="needs the docs extra")
    pytest.importorskip("mkdocstrings", reason="needs the docs extra")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", folder]
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | quiet, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_command_loss_and_measure_has_a_page(built):
    for command in COMMANDS:
        page = built / commands.address(command).replace(".md", ".html")
        assert "All settings" in page.read_text()
    for name in LOSSES:
        assert (built / "losses" / f"{name}.html").is_file()
    for measure in measures.measures():
        assert (built / "measures" / f"{measure.name}.html").is_file()


def test_nothing_is_loaded_from_elsewhere(built):
    loads = re.compile(
        r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(?:https?:)?//|"
        r"<link[^>]*rel=\"?(?:stylesheet|preconnect|preload)\"?[^>]*href=\"?https?://"
    )
    for page in built.rglob("*.html"):
        assert not loads.search(page.read_text()), page
    for sheet in built.rglob("*.css"):
        assert not re.search(r"url\(\"?(?:https?:)?//", sheet.read_text()), sheet


def test_a_page_asks_for_nothing_from_elsewhere(built):
    browser = Browser()
    try:
        browser.open(built / "index.html", ready="document.readyState === 'complete'")
        browser.settle()
        assert {address.partition(":")[0] for address in browser.requests} <= LOCAL
        assert browser.problems == []
    finally:
        browser.close()


LOCAL = {"file", "data", "blob"}


def test_no_angle_bracket_of_a_docstring_became_a_tag(built):
    """Inner products are written <a, b> there, which HTML would hide."""
    for page in [*built.glob("measures/*.html"), *built.glob("api/*.html")]:
        assert not re.search(r"<[a-zA-Z]_", page.read_text()), page


def test_the_search_finds_losses_and_measures(built):
    index = json.loads((built / "search" / "search_index.json").read_text())
    places = {entry["location"] for entry in index["docs"]}
    assert {"losses/dpop.html", "measures/ches.html", "sharp_edges.html"} <= places
