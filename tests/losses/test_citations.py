"""BibTeX that BibTeX can read."""

import re

import pytest

from gradlab.errors import LossInputError
from gradlab.losses import LOSSES
from gradlab.losses.citations import bibtex, entry
from gradlab.losses.describe import describe_loss
from gradlab.losses.sources import SOURCES
from gradlab.measures import sources as measures

ALL = SOURCES | measures.SOURCES


@pytest.mark.parametrize("key", ALL)
def test_entries_are_well_formed(key):
    text = entry(key, ALL[key])
    assert re.match(rf"@(misc|book)\{{{key},\n", text)
    assert text.count("{") == text.count("}")
    assert text.endswith("\n}")
    for field in ("title", "author", "year"):
        assert re.search(rf"^  {field} = \{{.+\}},$", text, re.MULTILINE)
    assert text.isascii()
    year = int(re.search(r"year = \{(\d+)\}", text)[1])
    arxiv = ALL[key].arxiv
    if arxiv:
        assert re.fullmatch(r"\d{4}\.\d{5}", arxiv)
        assert year == 2000 + int(arxiv[:2])
    authors = ALL[key].authors.split(" and ")
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


def test_every_measure_has_a_source_and_every_source_a_measure():
    assert set(measures.MEASURED_BY.values()) == set(measures.SOURCES)
