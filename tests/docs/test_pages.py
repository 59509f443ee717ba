"""The made pages of the site: one per command, loss and measure, each complete."""

import re
from pathlib import Path

import pytest

import gradlab
from docs.pages import commands, links, losses, measures, notebooks, site, text
from gradlab import gradients
from gradlab import measures as measured
from gradlab.cli import COMMANDS
from gradlab.losses import LOSSES

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def made():
    return site.pages()


@pytest.fixture(scope="module")
def known(made):
    by_hand = {p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md")}
    return by_hand | set(made) | set(links.outside())


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_page_a_closed_form_and_a_citation(made, name):
    info = LOSSES[name]
    page = made[f"losses/{name}.md"]
    for heading in ("Gradient", "Settings", "Use", "Source"):
        assert f"\n## {heading}\n" in page
    assert f"{{{info.citation}," in page
    assert info.closed_form is not None
    assert f"[`{name}`]({name}.md)" in made["losses/index.md"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, i in LOSSES.items() if not i.required])
def test_the_code_on_the_page_of_a_loss_runs(made, name):
    (code,) = re.findall(r"```python\n(.*?)```", made[f"losses/{name}.md"], re.DOTALL)
    exec(code, {"gradlab": gradlab, "pairs": gradlab.example_pair()})
    (spec,) = re.findall(r'--losses "(.*?)"', made[f"losses/{name}.md"])
    assert gradlab.losses.resolve(spec).needs_fields == LOSSES[name].needs_fields


def test_every_family_is_named():
    assert {info.family for info in LOSSES.values()} == set(losses.FAMILIES)
    assert sum(map(len, losses.families().values())) == len(LOSSES)


def test_every_public_function_is_a_measure_with_formula_and_source(made):
    for package in (gradients, measured):
        for name, thing in vars(package).items():
            if callable(thing) and not isinstance(thing, type) and name[0].islower():
                page = made[f"measures/{name}.md"]
                assert "\n## Source\n\n" in page
                formula = page.partition("## Source")[0]
                assert re.search(r"```text\n|\n\n    \S", formula), name
                assert re.search(r"## (Formula|Definitions)\n", formula), name


def test_every_module_of_measures_has_a_topic():
    modules = {m.module.__name__.rpartition(".")[2] for m in measures.measures()}
    assert modules == set(measures.TOPICS)


def test_every_command_has_a_page_with_an_example_and_its_settings(known):
    for command in COMMANDS:
        assert commands.address(command) in known
        assert "-h, --help" in commands.all_settings(command)


def test_settings_fit_the_page():
    for command in COMMANDS:
        lines = commands.help_text(command).splitlines()
        assert max(map(len, lines)) <= commands.WIDTH


def test_the_order_names_every_page_once(known):
    pages = sorted(page for page in known if page.endswith(".md"))
    nav = ["index.md", {"A": ["(commands)", "(losses)", "(measures)"]}]
    nav += [{"B": ["*.md", "api/*.md"]}, {"C": [f"{d}/*.md" for d in FOLDERS]}]
    named = list(leaves(site.navigation(nav, pages)))
    assert sorted(named) == pages


FOLDERS = ("notebooks", "losses", "measures", "commands", "analyses", "figures")


def leaves(nav):
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        yield from leaves(list(nav.values()))
    else:
        for entry in nav:
            yield from leaves(entry)


def test_tables_have_as_many_cells_in_every_row(made):
    for address, page in made.items():
        if address.endswith(".md"):
            for table in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
                rows = table.splitlines()
                cells = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
                assert len(cells) == 1, f"{address}: {table}"


def test_links_lead_somewhere_from_every_page(made, known):
    texts = {a: t for a, t in made.items() if a.endswith(".md")}
    for address in known - set(made):
        if address.endswith(".md"):
            texts[address] = (links.ROOT / links.place_of(address)).read_text()
    for address, page in texts.items():
        page = links.for_site(page, address, known)
        for target in re.findall(r"\]\(([\w./-]+\.md)", page):
            there = (Path("/") / address).parent / target
            assert there.resolve().as_posix()[1:] in known, f"{address}: {target}"


def test_links_lead_somewhere_in_the_repository_too(made, known):
    """Pages written by hand are read there as well, where made pages don't exist."""
    for address in known - set(made):
        if address.endswith(".md"):
            place = links.ROOT / links.place_of(address)
            page = re.sub(r"```.*?```", "", place.read_text(), flags=re.DOTALL)
            for target in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", page):
                assert (place.parent / target).exists(), f"{address}: {target}"


@pytest.mark.parametrize(
    ("link", "there"),
    [
        ("../gradlab/losses", "losses/index.md"),
        ("../gradlab/measures/ches.py#ches", "measures/ches.md"),
        ("../gradlab/gradients/token.py#token_weights", "measures/token_weights.md"),
        (
            "../gradlab/models/functional.py#LanguageModel",
            "api/models.md#gradlab.models.functional.LanguageModel",
        ),
        ("../README.md#citing", "index.md#citing"),
        ("report.md", "report.md"),
    ],
)
def test_a_link_to_a_definition_leads_to_its_page(link, there, known):
    assert links.for_site(f"[a]({link})", "length.md", known) == f"[a]({there})"


def test_a_link_to_a_file_outside_the_site_leads_to_its_source(known):
    page = links.for_site("[a](../gradlab/cli.py#x) [b](https://c)", "length.md", known)
    assert page == f"[a]({links.SOURCE}/gradlab/cli.py#x) [b](https://c)"


def test_text_of_docstrings_is_escaped():
    assert text.escape("<s_c, s_r> *bold* a * b") == "&lt;s_c, s_r> \\*bold* a * b"
    assert text.escape("a|b", table=True) == "a\\|b"
    cell = text.escape("a|b `c|<d>` `e`", table=True)
    assert cell == "a\\|b <code>c&#124;&lt;d&gt;</code> `e`"


def test_formulas_and_examples_become_blocks():
    page = text.markdown("One.\n\nFormula:\n  a <b>\n\nArgs:\n  x: of <b>\n    more.\n")
    assert "```text\na <b>\n```" in page
    assert "Args:\n    x: of &lt;b>\n        more." in page


def test_guarantees_may_begin_on_the_line_of_their_heading():
    parts = text.sections(
        "One.\n\nRaises:\n  E: why.\n\nGuarantees: whole\n  or not.\n"
    )
    assert parts == {"": "One.", "Raises": "E: why.", "Guarantees": "whole\n  or not."}


def test_outputs_of_a_notebook_become_files_and_blocks():
    outputs = [
        {"output_type": "stream", "text": ["3\n"]},
        {"data": {"image/png": "iVBORw0=", "text/plain": "<Figure>"}},
        {"data": {"text/html": '<iframe title="x" height="9" srcdoc="&lt;p&gt;">'}},
    ]
    code = {"cell_type": "code", "source": ["1 + 2"], "outputs": outputs}
    made = notebooks.notebook_page("n", {"cells": [code]})
    assert "```text\n3\n```" in made["notebooks/n.md"]
    assert made["notebooks/n-1.png"].startswith(b"\x89PNG")
    assert made["notebooks/n-2.html"] == "<p>"
    assert 'sandbox="allow-scripts"' in made["notebooks/n.md"]
