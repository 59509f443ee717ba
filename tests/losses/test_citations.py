"""BibTeX that BibTeX can read."""

import re

import pytest

from gradlab.errors import LossInputError
from gradlab.losses import LOSSES
from gradlab.losses.citations import bibtex, entry
from gradlab.losses.describe import describe_loss
from gradlab.losses.sources import SOURCES


@pytest.mark.parametrize("key", SOURCES)
def test_entries_are_well_formed(key):
    text = entry(key)
    assert re.match(rf"@(misc|book)\{{{key},\n", text)
    assert text.count("{") == text.count("}")
    assert text.endswith("\n}")
    for field in ("title", "author", "year"):
        assert re.search(rf"^  {field} = \{{.+\}},$", text, re.MULTILINE)
    assert text.isascii()
    year = int(re.search(r"year = \{(\d+)\}", text)[1])
    arxiv = SOURCES[key].arxiv
    if arxiv:
        assert re.fullmatch(r"\d{4}\.\d{5}", arxiv)
        assert year == 2000 + int(arxiv[:2])
    authors = SOURCES[key].authors.split(" and ")
    assert all("," in author or author == "others" for author in authors)


def test_each_source_once_and_in_order():
    text = bibtex(["dpop", "dpo", "dpop_inside_nobeta", "sft"])
    assert re.findall(r"@\w+\{(\w+),", text) == [
        "pal2024smaug",
        "rafailov2023direct",
        "bishop2006pattern",
    ]
    assert text.count("\n\n") == 2


def test_an_unknown_name_lists_near_misses():
    with pytest.raises(LossInputError, match=r"did you mean .*dpop"):
        bibtex(["dpopp"])


@pytest.mark.parametrize("name", LOSSES)
def test_the_docstring_cites_the_same_paper(name):
    source = SOURCES[LOSSES[name].citation]
    described = describe_loss(name)
    if source.arxiv:
        assert source.arxiv in described.references + described.conventions
