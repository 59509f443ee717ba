"""The document: it carries everything, loads nothing, and its policy fits it."""

import base64
import hashlib
import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gradlab.report import PairView, render_page
from gradlab.report.page import SCRIPTS
from gradlab.report.payload import run_payload
from gradlab.report.runs import make_run
from tests.report.material import tokens_table, write_run

ASSETS = Path(__file__).resolve().parents[2] / "gradlab" / "report" / "assets"


@pytest.fixture(scope="module")
def page():
    return render_page([run_payload(make_run(tokens_table(), name="a <b> & c"))])


def element(page: str, tag: str, attributes: str = "") -> str:
    (found,) = re.findall(f"<{tag}{attributes}>(.*?)</{tag}>", page, re.DOTALL)
    return found


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_policy_admits_only_its_own_style_and_script(page):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in html.unescape(policy).split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest(element(page, 'script'))}'"
    assert rules["style-src"] == f"'sha256-{digest(element(page, 'style'))}'"
    assert "unsafe" not in policy
    assert rules["require-trusted-types-for"] == "'script'"


def test_it_names_no_address(page):
    without_namespace = page.replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"https?://|//\w+\.\w+/|@import|url\(", without_namespace)
    assert not re.findall(r"<(?:link|img|iframe|object|base)\b", page)


def test_data_read_back_and_hold_no_markup(page):
    data = element(page, "script", ' type="application/json" id="data"')
    assert "<" not in data
    assert json.loads(data)["runs"][0]["name"] == "a <b> & c"


def test_script_parses_no_text_as_html():
    for name in SCRIPTS:
        source = (ASSETS / f"{name}.js").read_text()
        found = re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b"
            r"|new Function|DOMParser|srcdoc|fetch\(|XMLHttpRequest|import\(",
            source,
        )
        assert not found, name


def test_every_asset_is_used():
    names = {path.name for path in ASSETS.iterdir()}
    assert names == {f"{n}.js" for n in SCRIPTS} | {"page.html", "report.css"}


def test_pair_view_is_the_same_page_in_a_frame(tmp_path):
    view = PairView(write_run(tmp_path / "r"), 2)
    assert view.run.tokens["pair"].unique().tolist() == [2]
    shown = view._repr_html_()
    (inner,) = re.findall(r'srcdoc="([^"]*)"', shown)
    assert html.unescape(inner) == view.to_html()
    assert 'sandbox="allow-scripts"' in shown
    assert 'class="single"' in view.to_html()
    with pytest.raises(ValueError, match="pair 9 is not among the 4 pairs"):
        PairView(tokens_table(), 9)


def test_the_report_loads_no_jax():
    code = (
        "import sys, gradlab.report, gradlab.report.command\n"
        "assert 'jax' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
