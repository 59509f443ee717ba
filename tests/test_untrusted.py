"""Hostile text in what is no page: terminals, LaTeX, Markdown, figures, messages."""

import io
import re
import shutil
import subprocess
import unicodedata

import pandas as pd
import pytest
from rich.console import Console

from gradlab.cli import main
from gradlab.inputs.printing import number_table
from gradlab.inputs.progress import say
from gradlab.paper.writing import PaperTable
from gradlab.plotting.text import SANS, _glyphs, label, visible
from gradlab.tables import to_latex
from tests.report.payloads import PAYLOADS

MARKUP = ("[red]x[/red]", "[link=https://hack.invalid]x[/link]", "[/]", ":boom:")
TEX = (
    "\\input{/etc/passwd}", "\\write18{id}", "$x^2$", "%comment", "a & b \\\\ c",
    "\\end{tabular}", "^^41", "~#_{}", "\\def\\a{\\a}\\a", "`` ''", "<<>>",
)  # fmt: skip
EVERY = (*PAYLOADS, *MARKUP, *TEX)
CONTROL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def assert_harmless(shown: str) -> None:
    """Nothing that a terminal obeys, and nothing hidden; lines may end."""
    found = {c for c in shown if c != "\n" and unicodedata.category(c) in CONTROL}
    assert not found, sorted(map(ascii, found))


def console() -> Console:
    return Console(file=io.StringIO(), width=400, force_terminal=False)


@pytest.mark.parametrize("text", EVERY, ids=range(len(EVERY)))
def test_terminal_tables_and_lines(text):
    out = console()
    frame = pd.DataFrame({"loss": [text], "x": [1.0]})
    out.print(number_table(frame, {"x": ("x", "{}")}, title=text, caption=text))
    say(out, text)
    assert isinstance(out.file, io.StringIO)
    shown = out.file.getvalue()
    assert_harmless(shown)
    if text in MARKUP:
        assert shown.count(text) == 4


def test_messages_of_refusals(capsys):
    for text in EVERY:
        assert main(["report", f"./{text[:60]}"]) == 2
        assert main(["losses", f"x{text}"]) == 2
        assert_harmless("".join(capsys.readouterr()))


# All that may stand in LaTeX beside letters, digits and harmless signs.
COMMANDS = re.compile(
    r"\\(textbackslash|textasciicircum|textasciitilde|textless|textgreater|textbar"
    r"|textasciigrave|textquotesingle)\{\}"
    r"|\\symbol\{34\}|\\[{}$&#%_]|\$\\[A-Za-z]+\$|\{-\}|\[U\+[0-9A-F]{4,6}\]"
)


def test_latex_holds_no_command_of_the_text():
    empty = to_latex(pd.DataFrame({"x": ["x"]}), columns={"x": "y"}, caption="z")
    for text in EVERY:
        table = pd.DataFrame({"x": [text]})
        made = to_latex(table, columns={"x": text}, caption=text)
        assert len(made.splitlines()) == len(empty.splitlines())
        lines = [made.splitlines()[n].removeprefix("{}") for n in (2, 5, 7)]
        rest = "".join(lines).removeprefix(r"\caption").replace(r" \\", "")
        rest = COMMANDS.sub("", rest)
        assert not set(rest) & set("\\$&#%_^~<>|\"`'-"), (text, rest)
        assert rest.count("{") == rest.count("}") == 1  # those of the caption
        assert max(map(ord, made)) <= 0x17F


@pytest.mark.slow
def test_latex_compiles_whatever_the_text(tmp_path):
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("needs pdflatex (Debian: texlive-latex-recommended), found none")
    letters = "".join(map(chr, range(0x20, 0x250)))
    texts = [*EVERY, *re.findall(".{1,12}", letters), "[3cm]", "*[3cm]", "αβ∞"]
    source = [
        r"\documentclass{article}\usepackage{booktabs,textcomp}\begin{document}",
        to_latex(pd.DataFrame({"x": texts, "v": 1e-7}), caption=letters),
        *(to_latex(pd.DataFrame({text: [text]}), caption=text) for text in TEX),
        r"\end{document}",
    ]
    (tmp_path / "x.tex").write_text("\n".join(source), encoding="utf-8")
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-no-shell-escape", "x.tex"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    log = (tmp_path / "x.log").read_text(errors="replace")
    assert not [line for line in log.splitlines() if line.startswith("!")]
    assert done.returncode == 0
    assert "Missing character" not in log


def test_markdown_has_one_row_and_no_markup():
    for text in EVERY:
        table = PaperTable([text], {}, text, "tab:x", 3, False)
        lines = table.markdown().split("\n")
        assert len(lines) == 6
        for line in lines:
            assert_harmless(line)
        for line in (lines[2].removeprefix("| ").removesuffix(" |"), lines[4]):
            assert not set(re.sub(r"\\.", "", line)) & set("<>*_`~&!|#$"), text
            assert not re.search(r"(?<!\\)://|www\.", line)  # GitHub would link them


def test_figures_show_every_character_as_itself_or_a_box():
    for text in EVERY:
        for shown in (visible(text), label(text)):
            assert_harmless(shown)
            assert {ord(c) for c in shown} <= _glyphs(SANS)
