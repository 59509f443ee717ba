"""Hostile text on the page: nothing runs, nothing is fetched, everything is seen."""

import json
import re

import pandas as pd
import pytest

from gradlab.report import PairView, read_run, write_report
from tests.report.browser import Browser
from tests.report.material import (
    summary_table,
    tokens_table,
    write_run,
    write_training,
)
from tests.report.payloads import BIDI, CONTROL, MARKUP, PAYLOADS

# What would be hidden or reorder text must not stand in the page as itself.
HIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufffe\uffff\ue000-\uf8ff\U000e0000-\U0010ffff"
    "\xa0\u2003\u3000]"
)
FILE = "a<img src=x onerror=alert(1)>'\"&{{7*7}}\u202e\x1b[31m${1}"


def hostile_run(folder):
    """Every payload as token, prompt, loss, model, file name and summary column."""
    labels = [*PAYLOADS[:60:5], "dpo"]
    pairs = -(-len(PAYLOADS) // 8)
    frames = []
    for pair in range(pairs):
        words = [PAYLOADS[(8 * pair + n) % len(PAYLOADS)] for n in range(10)]
        one = tokens_table(1, losses=labels, words=words, length=16, seed=pair)
        frames.append(one.assign(pair=pair))
    tokens = pd.concat(frames, ignore_index=True)
    summary = summary_table(labels)
    for n, name in enumerate(PAYLOADS):
        summary[f"{name}"] = [PAYLOADS[(n + k) % len(PAYLOADS)] for k in range(13)]
    prompts = [PAYLOADS[n % len(PAYLOADS)] * 2 for n in range(pairs)]
    manifest = {
        "command": MARKUP[0],
        "policy": MARKUP[1],
        "reference": BIDI[0],
        "created_utc": MARKUP[5],
        "notes": list(PAYLOADS),
        "config": {text: text for text in PAYLOADS},
        "losses": {label: {label: label} for label in labels},
        "sha256": {text: text for text in PAYLOADS},
        "total": MARKUP[2],
    }
    return write_run(
        folder, tokens, summary=summary, prompts=prompts, manifest=manifest
    )


def hostile_training(folder):
    """Every payload as a probe set, a quantity of the batches, or the loss."""
    write_training(folder, sets=PAYLOADS[::3], manifest={"loss": MARKUP[4]})
    lines = [{"step": n, **dict.fromkeys(PAYLOADS, 0.1 * n)} for n in range(1, 4)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    base = tmp_path_factory.mktemp("hostile")
    folder = hostile_run(base / FILE)
    training = hostile_training(base / f"{FILE}2")
    out = base / (FILE + ".html")
    named = read_run(folder, name=MARKUP[3])
    write_report([read_run(folder), named, read_run(training)], out)
    return out


def assert_untouched(browser: Browser, address: str) -> None:
    """Nothing ran, nothing was asked for, and only our own elements are there."""
    assert browser.requests == [address]
    assert browser.dialogs == []
    assert browser.problems == []
    assert browser.run("window.hacked") is None
    assert browser.run("({}).hacked") is None
    foreign = """img,iframe,object,embed,video,link,base,a,math,template,textarea,
        animate,foreignObject,[onload],[onerror],[onfocus],[ontoggle],[onbegin],[src],
        [href]"""
    assert browser.run(f"document.querySelectorAll(`{foreign}`).length") == 0
    assert browser.run("document.scripts.length") == 2
    assert browser.run("document.styleSheets.length") == 1


# Everything that a reader, a screen reader or a copy of the page meets.
SHOWN = """[
  document.title,
  ...[...document.body.children].filter((n) => n.tagName !== "SCRIPT")
    .map((n) => n.textContent),
  ...[...document.querySelectorAll("body *")]
    .flatMap((n) => [...n.attributes].map((a) => a.value)),
].join("\\n")"""


def test_there_are_enough_payloads():
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 50


def test_nothing_runs_and_nothing_is_fetched(browser, page):
    browser.open(page)
    browser.run("document.getElementById('every-column').click()")
    browser.run("for (const d of document.querySelectorAll('details')) d.open = true")
    losses = browser.run("document.getElementById('loss').options.length")
    pairs = browser.run("document.querySelectorAll('#pairs li').length")
    for step in range(max(losses, pairs)):
        browser.choose("loss", step % losses)
        browser.run(f"document.getElementById('pair-{step % pairs}').click()")
        browser.run("document.querySelector('.token.first').focus()")
        browser.settle()
    browser.choose("search", MARKUP[0])
    browser.choose("run", 1)
    browser.settle()
    assert_untouched(browser, page.as_uri())


def test_curves_of_hostile_names(browser, page):
    browser.open(page, fragment="#run=2")
    browser.run("document.getElementById('curve-numbers').open = true")
    browser.settle()
    names = "[...document.querySelectorAll('#lines button > span')]"
    assert browser.run(f"{names}.length") == len(PAYLOADS[::3])
    assert browser.run(f"{names}[0].textContent") == PAYLOADS[0]
    browser.run("document.querySelector('#lines button').click()")
    for place in range(browser.run("document.getElementById('curve').length")):
        browser.run(
            f"""(() => {{ const node = document.getElementById("curve");
            node.selectedIndex = {place};
            node.dispatchEvent(new Event("change")); }})()"""
        )
    assert_untouched(browser, page.as_uri())
    shown = browser.run(SHOWN)
    assert HIDDEN.findall(shown) == []
    # The two runs are drawn as lines beside each other only where both have curves.
    assert browser.run("document.getElementById('compare-choice').hidden")


def test_no_hidden_character_is_on_the_page(browser, page):
    browser.open(page)
    browser.run("document.getElementById('every-column').click()")
    pairs = browser.run("document.querySelectorAll('#pairs li').length")
    for pair in range(pairs):
        browser.run(f"document.getElementById('pair-{pair}').click()")
        browser.run("document.querySelector('.token').focus()")
        browser.settle()
        shown = browser.run(SHOWN)
        found = HIDDEN.findall(shown)
        assert found == [], [hex(ord(c)) for c in found[:5]]


def test_every_payload_is_seen_as_text(browser, page):
    browser.open(page)
    browser.run("for (const d of document.querySelectorAll('details')) d.open = true")
    shown = browser.run("document.getElementById('manifest').textContent")
    for text in MARKUP:
        assert text in shown
    for text in (*CONTROL, *BIDI):
        for character in text:
            if HIDDEN.match(character):
                assert f"U+{ord(character):04X}" in shown


def test_tokens_keep_their_order_beside_right_to_left_text(browser, tmp_path):
    words = ("שלום", " abc", "مرحبا", " 12", "\u202exyz", " def")
    folder = write_run(tmp_path / "r", tokens_table(1, words=words, length=8))
    out = tmp_path / "page.html"
    write_report([read_run(folder)], out)
    browser.open(out)
    places = browser.run(
        """[...document.querySelectorAll(".side:first-child .token")].map((n) =>
        [n.getBoundingClientRect().top, n.getBoundingClientRect().left])"""
    )
    lines = {}
    for top, left in places:
        lines.setdefault(round(top / 8), []).append(left)
    assert all(line == sorted(line) for line in lines.values())


def test_the_notebook_frame_holds_no_markup_of_the_data(browser, tmp_path):
    view = PairView(hostile_run(tmp_path / "r"), 3)
    frame = view._repr_html_()
    assert len(re.findall("<", frame)) == 2  # <iframe and </iframe
    page = tmp_path / "notebook.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{frame}", "utf-8")
    browser.open(page, ready="document.querySelector('iframe')")
    browser.wait_in_frame("document.body?.dataset.drawn")
    browser.run_in_frame("document.querySelector('.token').focus()")
    browser.settle()
    assert browser.run_in_frame("window.hacked") is None
    assert browser.dialogs == []
    assert browser.problems == []
    assert browser.run("window.hacked") is None
    assert [
        u for u in browser.requests if u not in (page.as_uri(), "about:srcdoc")
    ] == []


def test_the_data_hold_no_tag(page):
    text = page.read_text(encoding="utf-8")
    data = text.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data)["runs"][0]["manifest"]["command"] == MARKUP[0]
    assert text.count("<script") == text.count("</script>") == 2
