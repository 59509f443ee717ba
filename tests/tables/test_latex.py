"""LaTeX export: user text prints literally, numbers in the usual form."""

import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.tables import escape, to_latex


def test_every_special_character_is_escaped():
    assert escape("my_mod:f{x}") == r"my\_mod:f\{x\}"
    assert escape(r"\input{a}") == r"\textbackslash{}input\{a\}"
    assert escape("50% & $1 #2 ~^") == (
        r"50\% \& \$1 \#2 \textasciitilde{}\textasciicircum{}"
    )
    assert escape("a\nb\u202e\U0001f600é") == "a[U+000A]b[U+202E][U+1F600]é"


def test_what_the_default_font_encoding_lacks_is_spelt_out():
    assert escape("aąđ«é") == "a[U+0105][U+0111][U+00AB]é"
    assert escape('"') == r"\symbol{34}"


@pytest.mark.parametrize("text", ["[3cm]", "*", " [b]", "日"])
def test_no_row_is_an_argument_of_the_line_before(text):
    lines = to_latex(pd.DataFrame({text: [text, text]})).splitlines()
    for row in (4, 6, 7):  # behind \toprule, \midrule and \\
        assert lines[row].startswith("{}")


def test_a_double_dash_stays_two_dashes():
    assert escape("a--b") == "a{-}{-}b"


def test_table():
    table = pd.DataFrame(
        {
            "loss": ["dpo_x", None],
            "pairs": [20, 3],
            "mass": [0.5, float("nan")],
            "error": [1.234e-13, -2e7],
            "coupled": [True, False],
        }
    )
    source = to_latex(table, caption="Mass_1", label="tab:mass", digits=2)
    assert source.splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\caption{Mass\_1}",
        r"\label{tab:mass}",
        r"\begin{tabular}{lrrrl}",
        r"\toprule",
        r"loss & pairs & mass & error & coupled \\",
        r"\midrule",
        r"dpo\_x & $20$ & $0.50$ & $1.2 \times 10^{-13}$ & yes \\",
        r"-- & $3$ & -- & $-2.0 \times 10^{7}$ & no \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "$0.00$"),
        (9.999, "$10.0$"),
        (1234.0, "$1234$"),
        (0.00123, "$0.00123$"),
        (float("inf"), r"$\infty$"),
        (float("-inf"), r"$-\infty$"),
    ],
)
def test_numbers(value, text):
    assert text + r" \\" in to_latex(pd.DataFrame({"x": [value]}))


def test_columns_are_chosen_and_renamed():
    table = pd.DataFrame({"a": [1], "b": [2]})
    assert r"B\_1 & a \\" in to_latex(table, columns={"b": "B_1", "a": "a"})
    with pytest.raises(GradlabError, match=r"no such column\(s\) for LaTeX: c"):
        to_latex(table, columns=["c"])
    with pytest.raises(GradlabError, match="LaTeX label"):
        to_latex(table, label="x}")
