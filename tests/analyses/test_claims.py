"""The ledger as it is printed and committed, and studies whose table is stale."""

import json
import shutil

import pytest

from analyses import claims
from analyses.__main__ import STUDIES, main, run, state
from analyses.claims import PAGE, SEEN, claims_of, ledger_lines, verdicts_of
from gradlab.errors import GradlabError

STUDY = "edit_distance"
TESTED = [name for name in STUDIES if verdicts_of(name) is not None]
COMMITTED = [name for name in STUDIES if (claims.TABLES / f"{name}.json").is_file()]


def test_the_page_is_that_of_the_tables():
    assert PAGE.read_text(encoding="utf-8").splitlines() == ledger_lines(STUDIES)


def test_claims_are_printed(capsys):
    main("claims")
    assert capsys.readouterr().out.splitlines() == ledger_lines(STUDIES)


@pytest.mark.parametrize("study", TESTED)
def test_verdicts_that_the_adjustment_takes_back_are_marked(study):
    table = verdicts_of(study)
    assert table is not None
    decided = table["verdict"].str.match("reproduced|contradicted")
    marked = sum(" † |" in line for line in ledger_lines([study]))
    assert marked == (decided & (table["survives_holm"] == "no")).sum() > 0


@pytest.mark.parametrize("study", TESTED)
def test_every_claim_has_a_verdict_in_some_setting(study):
    table, known = verdicts_of(study), claims_of(study)
    assert table is not None
    assert set(table["claim_id"]) == set(known)
    assert all(claim.source_tag in SEEN for claim in known.values())


def test_what_was_not_measured_is_not_counted(monkeypatch):
    table = verdicts_of(STUDY)
    assert table is not None
    rows = table[table["claim_id"] == "S4.10"].head(4)
    found = ["reproduced", "inconclusive", "not testable", "skipped"]
    given = rows.assign(verdict=found)
    monkeypatch.setattr("analyses.claims.verdicts_of", lambda _: given)
    assert any("): 1 of 2 measured settings." in x for x in ledger_lines([STUDY]))


@pytest.mark.parametrize("study", COMMITTED)
def test_committed_tables_are_fresh(study):
    assert state(study).endswith(", fresh")


def test_a_stale_table_is_reported(tmp_path, monkeypatch, capsys):
    for name in COMMITTED:
        shutil.copy(claims.TABLES / f"{name}.json", tmp_path)
    path = tmp_path / "gradient_comparison.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["seeds"] = [7]
    path.write_text(json.dumps(manifest))
    monkeypatch.setattr("analyses.__main__.TABLES", tmp_path)
    main()
    lines = capsys.readouterr().out.splitlines()
    stale = [line for line in lines if "stale: " in line]
    assert [line.split()[0] for line in stale] == ["gradient_comparison"]


def test_a_study_that_was_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr("analyses.__main__.TABLES", tmp_path)
    assert state("speed") == "not run"


def test_a_size_that_a_study_lacks(tmp_path):
    with pytest.raises(GradlabError, match="gradient_comparison has no full size"):
        run("gradient_comparison", "full", tmp_path)
