"""The committed page of conventions is the generated one, and its numbers hold."""

import re
from pathlib import Path

import pytest

from docs.generate import FOLDER, pages
from docs.topics import PLACEMENT
from docs.topics_scales import SCALES
from gradlab.losses import resolve
from gradlab.losses.contract import check_loss


@pytest.fixture(scope="module")
def generated():
    return pages()


def test_committed_pages_are_the_generated_ones(generated):
    for name, text in generated.items():
        committed = FOLDER / name
        assert committed.is_file(), f"run python -m docs.generate: {name} is missing"
        assert committed.read_text() == text, f"run python -m docs.generate: {name}"


def test_no_page_is_left_over(generated):
    by_hand = {"your_own.md"}
    assert {path.name for path in FOLDER.glob("*.md")} == set(generated) | by_hand


def test_every_convention_names_who_follows_it():
    for topic in (*PLACEMENT, *SCALES):
        assert len(topic.rows) > 1
        for row in topic.rows:
            assert row.used_by
            assert callable(row.loss) or resolve(row.loss)


@pytest.mark.parametrize(
    ("convention", "value"),
    [
        ("summed log-ratios (Eq. 17)", "12.2500"),
        ("log-ratios averaged over tokens", "23.8877"),
        ("inside the sigmoid, inside the beta bracket (v2, Eq. 3)", "2.9062"),
        ("outside the sigmoid", "30.6210"),
    ],
)
def test_the_numbers_by_hand(generated, convention, value):
    """(1.5 - 5)^2; (-0.15 + 0.2625 - 5)^2; log(1 + e^2.85); 30 + log(1 + e^-0.15)."""
    assert f"| {convention} | {value} |" in generated["conventions.md"]


def test_the_weights_at_the_kink_by_hand(generated):
    """-beta/2 times 1, 26 and 51."""
    kinks = generated["conventions.md"].split("## DPOP: the first step")[1]
    assert re.findall(r"\| (-\d+\.\d{4}) \|", kinks) == [
        "-0.1500",
        "-3.9000",
        "-7.6500",
    ]


def test_the_page_on_own_losses_runs(tmp_path, monkeypatch, capsys):
    text = Path(FOLDER / "your_own.md").read_text()
    module, check = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(module.strip().splitlines()) <= 11
    (tmp_path / "my_losses.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    exec(compile(check, "your_own.md", "exec"), {})
    assert "failed" not in capsys.readouterr().out
    verdicts = check_loss("bcr_added(lam=1, delta=1, base='my_losses:focal_dpo')")
    assert {v.outcome for v in verdicts} == {"passed", "skipped"}
