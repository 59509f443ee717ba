"""The page in a real browser: no errors, switches work, numbers are the table's."""

import math
import re

import numpy as np
import pytest

from gradlab.cli import main
from gradlab.plotting.scales import norm_ticks, weight_norm
from gradlab.report import PairView, read_run
from tests.report.browser import Browser
from tests.report.material import DRIFTS, LOSSES, tokens_table, write_run

DIGITS = str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")
POWER = re.compile("(−?)(?:([0-9.]+)×)?10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")


def plain(text: str) -> float:
    """The number that a text on the page shows."""
    if match := POWER.fullmatch(text.lstrip("+")):
        sign, mantissa, power = (part or "" for part in match.groups())
        text = f"{sign}{mantissa or 1}e{power}"
    return math.nan if text == "–" else float(text.translate(DIGITS))


def half_a_digit(value: float, digits: int = 4) -> float:
    """By how much a number may differ that is shown to so many digits."""
    if value == 0:
        return 0.0
    last = 10.0 ** (math.floor(math.log10(abs(value))) + 1 - digits)
    return 0.5 * last * (1 + 1e-9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def tokens(folder):
    return read_run(folder).tokens


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    """The run, and one of another kind with longer texts."""
    other = tokens_table(3, losses=("mle", "dpo"), drift=False, length=40)
    second = write_run(folder.parent / "other", other)
    out = tmp_path_factory.mktemp("page") / "report.html"
    assert main(["report", str(folder), str(second), "--out", str(out)]) == 0
    return out


@pytest.fixture
def opened(browser: Browser, page):
    browser.open(page)
    yield browser
    assert browser.problems == []
    assert browser.dialogs == []
    assert browser.requests == [page.as_uri()]


CARD = "Object.fromEntries([...document.querySelectorAll('#card dd')].map("
CARD += "(n) => [n.dataset.key, n.firstChild.textContent]))"


def numbers_of(browser: Browser, side: str, position: int) -> dict[str, float]:
    """What the card of one token shows, on keyboard focus."""
    place = f"[data-side={side}] .token"
    browser.run(f"document.querySelectorAll('{place}')[{position}].focus()")
    browser.wait("!document.getElementById('card').hidden")
    shown = browser.run(CARD)
    browser.run("document.activeElement.blur()")
    return {key: plain(text) for key, text in shown.items()}


def test_numbers_of_tokens_are_those_of_the_table(opened, tokens):
    for loss, pair, side, position in [
        (0, 0, "chosen", 0),
        (1, 2, "rejected", 12),
        (2, 3, "chosen", 4),
        (2, 3, "rejected", 5),
    ]:
        opened.choose("loss", loss)
        opened.run(f"document.getElementById('pair-{pair}').click()")
        opened.settle()
        row = tokens[
            (tokens["loss"] == LOSSES[loss])
            & (tokens["pair"] == pair)
            & (tokens["side"] == side)
            & (tokens["position"] == position)
        ].iloc[0]
        shown = numbers_of(opened, side, position)
        assert set(shown) == {"weight", *DRIFTS, "logp"}
        for key, value in shown.items():
            assert abs(value - row[key]) <= half_a_digit(row[key]), key


def test_numbers_of_the_summary_are_those_of_the_table(opened, folder):
    from gradlab.tables import read_table

    summary = read_table(folder / "summary.csv").set_index("loss")
    rows = opened.run(
        """[...document.querySelectorAll("#summary-table tbody tr")].map((row) =>
        [row.querySelector("th").textContent, Object.fromEntries(
          [...row.querySelectorAll("td")].map((n) =>
            [n.dataset.key, [n.textContent, n.dataset.value]]))])"""
    )
    assert [name for name, _ in rows] == list(LOSSES)
    for name, cells in rows:
        assert "update_norm" not in cells
        for key, (text, whole) in cells.items():
            value = float(summary.loc[name, key])
            if math.isnan(value):
                assert (text, whole) == ("–", "")
            elif math.isinf(value):
                assert (text, whole) == ("∞", "Infinity")
            else:
                assert float(whole) == value
                assert abs(plain(text) - value) <= half_a_digit(value, 2)
    opened.run("document.getElementById('every-column').click()")
    assert opened.run("document.querySelectorAll('[data-key=update_norm]').length") == 3


def test_summary_sorts_by_a_click_and_says_so(opened):
    head = "#summary-table thead [data-column='2']"
    names = "[...document.querySelectorAll('#summary-table tbody th')].map("
    names += "(n) => n.textContent)"
    opened.run(f'document.querySelector("{head}").click()')
    assert opened.run(names) == list(LOSSES)
    opened.run(f'document.querySelector("{head}").click()')
    assert opened.run(names) == list(LOSSES)[::-1]
    state = f'document.querySelector("{head}").parentNode.ariaSort'
    assert opened.run(state) == "ascending"
    # What has no number comes last in both orders.
    for _ in range(2):
        opened.run("document.querySelector(\"thead [data-column='4']\").click()")
        assert opened.run(names)[-1] == LOSSES[0]


def test_a_loss_is_chosen_in_the_table_too(opened):
    opened.run("document.querySelectorAll('#summary-table tbody button')[1].click()")
    opened.settle()
    assert opened.run("document.getElementById('loss').value") == "1"
    title = opened.run("document.getElementById('legend-title').textContent")
    assert title.startswith(LOSSES[1])
    current = "document.querySelector('#summary-table tr[aria-current]').dataset.loss"
    assert opened.run(current) == "1"


SHARES = """[...document.querySelectorAll(".token")].map((n) =>
  [n.dataset.hue, Number(n.style.getPropertyValue("--share"))])"""


@pytest.mark.parametrize("key", ["weight", "predicted"])
def test_colours_are_those_of_the_figures(opened, tokens, key):
    """The same norm as matplotlib's; blue where a token is raised."""
    opened.choose("loss", 1)
    opened.choose("quantity", key)
    rows = tokens[tokens["loss"] == LOSSES[1]]
    norm = weight_norm(rows[key])
    values = rows[rows["pair"] == 0][key].to_numpy()
    want = np.asarray(norm(values)) * 2 - 1
    shown = opened.run(SHARES)
    np.testing.assert_allclose([s for _, s in shown], np.abs(want), atol=2e-3)
    raised = values < 0 if key == "weight" else values > 0
    assert [hue == "up" for hue, _ in shown] == raised.tolist()
    ticks = "[...document.querySelectorAll('#ticks span')].map((n) => n.textContent)"
    ours = [plain(text) for text in opened.run(ticks)]
    np.testing.assert_allclose(ours, norm_ticks(norm), rtol=1e-9)


def test_scale_of_the_pair_and_of_all_losses(opened, tokens):
    for scale, rows in (
        ("pair", tokens[(tokens["loss"] == LOSSES[0]) & (tokens["pair"] == 0)]),
        ("all", tokens),
    ):
        opened.choose("scale", scale)
        values = tokens[(tokens["loss"] == LOSSES[0]) & (tokens["pair"] == 0)]["weight"]
        want = np.asarray(weight_norm(rows["weight"])(values)) * 2 - 1
        shown = [share for _, share in opened.run(SHARES)]
        np.testing.assert_allclose(shown, np.abs(want), atol=2e-3)
    opened.choose("form", "linear")
    shown = [share for _, share in opened.run(SHARES)]
    want = np.abs(values) / np.abs(tokens["weight"]).max()
    np.testing.assert_allclose(shown, want, atol=2e-3)


def test_texts_stand_side_by_side_at_the_first_difference(opened):
    opened.run("document.getElementById('pair-2').click()")
    opened.settle()
    boxes = opened.run(
        """[...document.querySelectorAll(".token.first")].map((n) =>
        [n.closest(".side").dataset.side, n.getBoundingClientRect().top,
         [...n.closest(".side").querySelectorAll(".token")].indexOf(n)])"""
    )
    assert [(side, place) for side, _, place in boxes] == [
        ("chosen", 3),
        ("rejected", 3),
    ]
    assert boxes[0][1] == boxes[1][1]


def test_sides(opened):
    for side, count in (("chosen", 12), ("rejected", 13), ("both", 25)):
        opened.choose("side", side)
        assert opened.run("document.querySelectorAll('.token').length") == count


def count(browser: Browser) -> int:
    return browser.run("document.querySelectorAll('#pairs li').length")


def test_search_and_filters(opened, tokens):
    first = tokens[tokens["loss"] == LOSSES[0]]
    texts = first.groupby("pair")["token"].agg("".join)
    opened.choose("search", "CAT SAT")
    assert count(opened) == texts.str.contains("cat sat").sum()
    opened.choose("search", "many?")
    assert count(opened) == 4
    opened.choose("search", "")
    opened.choose("length-low", 14)
    assert count(opened) == 0
    opened.choose("length-low", "")
    edits = read_edits(opened)
    bound = sorted(edits)[1]
    opened.choose("edit-high", bound)
    assert count(opened) == sum(edit <= bound for edit in edits)
    opened.choose("edit-high", "")
    opened.choose("sort", "edit")
    order = opened.run(
        "[...document.querySelectorAll('#pairs li')].map((n) => +n.dataset.pair)"
    )
    assert order == sorted(range(4), key=lambda pair: edits[pair])


def read_edits(browser: Browser) -> list[float]:
    """Exact ones, from the page's data."""
    return browser.run(
        "JSON.parse(document.getElementById('data').textContent).runs[0].pairs.edit"
    )


@pytest.mark.parametrize("loss", range(3))
def test_who_falls(opened, tokens, loss):
    opened.choose("loss", loss)
    rows = tokens[tokens["loss"] == LOSSES[loss]]
    falls = rows.groupby(["pair", "side"])["predicted"].sum().unstack() < 0
    wanted = {
        "chosen": falls["chosen"],
        "rejected": falls["rejected"],
        "both": falls.all(axis=1),
        "none": ~falls.any(axis=1),
    }
    for choice, pairs in wanted.items():
        opened.choose("falls", choice)
        assert count(opened) == pairs.sum(), choice
    opened.choose("falls", "")
    arrows = opened.run(
        """[...document.querySelectorAll("#pairs li")].map((n) =>
        [...n.querySelectorAll(".arrow:not([hidden])")].map((a) => a.dataset.side))"""
    )
    assert arrows == [[s for s in falls if falls[s][pair]] for pair in range(4)]


def test_another_run_has_other_quantities(opened):
    opened.choose("run", 1)
    opened.wait("document.querySelectorAll('.token').length === 81")
    keys = "[...document.getElementById('quantity').options].map((o) => o.value)"
    assert opened.run(keys) == ["weight", "logit_grad_norm", "logp"]
    assert opened.run("document.getElementById('falls-choice').hidden")
    opened.choose("quantity", "logp")
    assert {hue for hue, _ in opened.run(SHARES)} == {"size"}


def test_keys_move_between_tokens_and_pairs(opened):
    opened.run("document.querySelector('[data-side=chosen] .token').focus()")
    where = "[...document.querySelectorAll('.token')].indexOf(document.activeElement)"
    for key, place in (
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowDown", 14),
        ("End", 24),
        ("Home", 12),
        ("ArrowUp", 0),
    ):
        opened.press(key)
        assert opened.run(where) == place, key
    label = opened.run("document.activeElement.ariaLabel")
    assert "chosen, position 0" in label
    assert "loss per nat" in label
    stops = "document.querySelectorAll('.token[tabindex=\"0\"]').length"
    assert opened.run(stops) == 2
    opened.press("Escape")
    assert opened.run("document.getElementById('card').hidden")
    opened.run("document.getElementById('pairs').focus()")
    opened.press("ArrowDown")
    assert opened.run("document.getElementById('pair-title').textContent") == "Pair 1"


def test_the_address_leads_back(browser, page):
    browser.open(page, fragment="#pair=2&loss=1&quantity=own&side=rejected&scale=all")
    assert browser.run("document.getElementById('pair-title').textContent") == "Pair 2"
    assert browser.run("document.getElementById('quantity').value") == "own"
    assert browser.run("document.querySelectorAll('.side').length") == 1
    browser.open(page, fragment="#pair=99&loss=-1&quantity=<b>&side=x&run=1e9")
    assert browser.run("document.getElementById('pair-title').textContent") == "Pair 0"
    assert browser.problems == []


def test_names_and_roles_for_screen_readers(opened):
    tree = opened.send("Accessibility.getFullAXTree")["nodes"]
    seen = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node["ignored"]
    ]
    nameless = {"button", "combobox", "listbox", "searchbox", "spinbutton", "checkbox"}
    assert [role for role, name in seen if role in nameless and not name] == []
    assert ("heading", "Pair 0") in seen
    assert any(role == "listbox" and "chosen response" in name for role, name in seen)


CONTRAST = """(() => {
  const rgb = (text) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (text) => rgb(text).map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const root = getComputedStyle(document.documentElement);
  const value = (name) => light(root.getPropertyValue(name));
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  return [["--ink", "--page"], ["--muted", "--page"], ["--muted", "--panel"],
    ["--ink", "--up"], ["--ink", "--down"], ["--ink", "--size"], ["--ink", "--gap"]]
    .map(([text, ground]) => [text, ground, contrast(value(text), value(ground))]);
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_on_every_ground(browser, page, dark):
    browser.open(page, dark=dark)
    for text, ground, contrast in browser.run(CONTRAST):
        assert contrast >= 4.5, (text, ground)  # WCAG 2, level AA
    assert browser.problems == []


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(browser, page, width):
    browser.open(page, fragment="#run=1", width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_print_has_the_pair_and_the_table_and_no_controls(opened):
    opened.send("Emulation.setEmulatedMedia", media="print")
    shown = "(id) => document.getElementById(id).getClientRects().length > 0"
    for name, there in {"controls": 0, "list": 0, "sides": 1, "legend": 1,
                        "summary": 1, "provenance": 1}.items():  # fmt: skip
        assert opened.run(f"({shown})('{name}')") == bool(there), name


def test_a_pair_in_a_notebook(browser, folder, tmp_path):
    """In a frame without rights, inside a page that has none of our policy."""
    page = tmp_path / "notebook.html"
    frame = PairView(folder, 1)._repr_html_()
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{frame}", "utf-8")
    browser.open(page, ready="document.querySelector('iframe')")
    browser.wait_in_frame("document.body?.dataset.drawn")
    assert browser.run_in_frame("document.querySelectorAll('.token').length") == 25
    assert browser.run_in_frame("document.getElementById('list')") is None
    root = "document.documentElement"
    assert browser.run_in_frame(f"{root}.scrollHeight <= {root}.clientHeight")
    note = browser.run_in_frame("document.getElementById('legend-note').textContent")
    assert "fitted to this pair for this loss" in note
    assert browser.problems == []


def test_the_run_that_was_chosen_last_stays(opened):
    """Also when another one, chosen just before, takes longer to unpack."""
    opened.run(
        """for (const run of [1, 0]) {
          const node = document.getElementById("run");
          node.value = run;
          node.dispatchEvent(new Event("change"));
        }"""
    )
    opened.settle()
    opened.settle()
    chosen = "document.getElementById('run').selectedOptions[0].textContent"
    facts = opened.run("document.getElementById('facts').textContent")
    assert facts.split(" · ")[0] == opened.run(chosen)
