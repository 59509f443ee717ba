"""`gradlab report` and `--report` from the command line."""

import json
import shutil

import pytest

from gradlab.cli import main
from gradlab.data.arithmetic import pairs
from gradlab.data.embedded import embedded_model_folder
from gradlab.models import DecoderConfig, build, save_model
from gradlab.report import read_run
from tests.report.material import write_run


def refusal(capsys, *arguments):
    assert main(["report", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_page_of_two_runs(tmp_path, capsys):
    one, two = write_run(tmp_path / "one"), write_run(tmp_path / "two")
    out = tmp_path / "pages" / "both.html"
    assert main(["report", str(one), str(two), "--out", str(out)]) == 0
    assert f"Wrote {out}" in capsys.readouterr().out
    text = out.read_text()
    assert str(one) in text
    assert str(two) in text


def test_default_place_and_overwriting(tmp_path, capsys):
    run = write_run(tmp_path / "run")
    assert main(["report", str(run), "--max-pairs", "3"]) == 0
    assert "the first 3 of 4 pairs" in capsys.readouterr().out
    assert "is there already (--overwrite" in refusal(capsys, run)
    assert main(["report", str(run), "--overwrite"]) == 0


def test_refusals(tmp_path, capsys):
    run = write_run(tmp_path / "run")
    assert "no summary.csv or metrics.jsonl there" in refusal(
        capsys, tmp_path / "nothing"
    )
    assert "--max-pairs is 0" in refusal(capsys, run, "--max-pairs", "0")
    assert "is a folder" in refusal(capsys, run, "--out", tmp_path)
    assert not (run / "report.html").exists()


def test_a_folder_name_does_not_reach_the_terminal(tmp_path, capsys):
    run = write_run(tmp_path / "a\x1b[31mred")
    assert main(["report", str(run)]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small fresh model with the embedded tokenizer, and its pairs."""
    folder = tmp_path_factory.mktemp("model")
    config = DecoderConfig(
        vocab_size=512, width=16, layers=1, heads=2, ff_width=32, max_length=256
    )
    save_model(folder, config, build(config)[1])
    for name in ("tokenizer.json", "tokenizer_config.json"):
        source = embedded_model_folder() / name
        if source.is_file():
            shutil.copy(source, folder)
    rows = [
        {"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected}
        for p in pairs(3, 1)
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.mark.parametrize("command", ["compare", "drift", "length"])
def test_report_beside_the_results(command, model, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--model", str(model), "--data", str(model / "pairs.jsonl")]
    arguments += ["--losses", "dpo", "--report", "--out", str(out)]
    assert main([command, *arguments]) == 0
    page = (out / "report.html").read_text()
    assert str(out) in page
    assert ".partial" not in page
    assert "report.html" in capsys.readouterr().err
    run = read_run(out)
    assert [run.prompts[n] for n in range(3)] == [
        text if text.startswith("<s>") else f"<s>{text}"
        for text in (pair.prompt for pair in pairs(3, 1))
    ]
    again = [*arguments[:-3], "--out", str(out), "--overwrite"]
    assert main([command, *again]) == 0
    assert not (out / "report.html").exists()  # it would show the earlier results
