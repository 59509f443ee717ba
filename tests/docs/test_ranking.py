"""The page on rankings: its Python runs, its commands exist, its numbers hold."""

import json
import re
from pathlib import Path

from gradlab.cli import main
from gradlab.data.ranking.schemes import NAMES
from gradlab.rank.judges import SETTINGS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "ranking.md").read_text()


def test_its_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own, whole, alone = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(whole, "ranking.md", "exec"), {})
    exec(compile(alone, "ranking.md", "exec"), {})
    shown = capsys.readouterr().out
    assert "'chosen': ' 14', 'rejected': ' 9'" in shown
    assert "(1, 0, 2)" in shown
    (tmp_path / "own_judges.py").write_text(own)
    (row,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "completions.jsonl").write_text(row)
    for judge, chosen in (("scores", " 14"), ("own_judges:shorter", " 9")):
        arguments = ["rank", "completions.jsonl", "--overwrite", "--judge", judge]
        assert main([*arguments, "--out", f"{judge[:3]}.jsonl"]) == 0
        pair = json.loads((tmp_path / f"{judge[:3]}.jsonl").read_text())
        assert pair["chosen"] == chosen


def test_all_strategies_judges_and_options_are_there():
    for name in (*NAMES, "checker", "scores", "likelihood"):
        assert f"`{name}`" in PAGE
    assert {"checker", "scores", "likelihood"} < set(SETTINGS)
