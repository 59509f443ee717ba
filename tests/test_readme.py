"""The README's Python runs as it stands, and its paths exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_snippets_run_in_order(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 4
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
        lines = [x for x in block.splitlines() if x and not x.startswith("import")]
        assert len(lines) < 12
    assert capsys.readouterr().out.count("[[") == 5


def test_linked_files_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_number_of_losses_is_that_of_the_table():
    from gradlab.losses import LOSSES

    assert f"for {len(LOSSES)} losses" in README
