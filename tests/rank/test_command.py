"""`gradlab rank`: pairs, manifest, refusals, secrets, and going on after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradlab.cli import main
from gradlab.data import arithmetic, read_pairs
from gradlab.data.corruptions import CORRUPTIONS
from gradlab.data.ranking.schemes import NAMES
from tests.data.ranking.serving import serving

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-test-9b1d77c0aa"


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def scored(tmp_path):
    """Twelve prompts; the number in a completion is its score."""
    values = [[(row * 3 + k * 7) % 11 for k in range(5)] for row in range(12)]
    rows = [
        {"prompt": f"p{row}", "completions": [f"answer {v}" for v in v5], "scores": v5}
        for row, v5 in enumerate(values)
    ]
    return write(tmp_path / "completions.jsonl", rows), values


def run(tmp_path, *arguments, out="pairs.jsonl"):
    place = tmp_path / "out" / out
    status = main(["rank", *map(str, arguments), "--out", str(place)])
    return status, place


def manifest_of(place):
    return json.loads(place.with_name(f"{place.stem}.manifest.json").read_text())


@pytest.mark.parametrize("strategy", NAMES)
def test_pairs_in_trl_form(tmp_path, scored, strategy):
    data, values = scored
    more = ("--strategy", strategy, "--rounds", 9, "--rejected", "last")
    status, place = run(tmp_path, data, "--judge", "scores", *more)
    assert status == 0
    rows = [json.loads(line) for line in place.read_text().splitlines()]
    assert [list(row) for row in rows] == [["prompt", "chosen", "rejected"]] * 12
    for row, scores in zip(rows, values, strict=True):
        assert row["chosen"] == f"answer {max(scores)}"
        if strategy not in ("champion", "elo"):
            assert row["rejected"] == f"answer {min(scores)}"
    assert len(read_pairs(place)) == 12
    names = {path.name for path in place.parent.iterdir()}
    assert names == {"pairs.jsonl", "pairs.manifest.json", "pairs.judgements.jsonl"}


def test_the_manifest_tells_what_it_cost(tmp_path, scored, capsys):
    data, _ = scored
    status, place = run(tmp_path, data, "--judge", "scores", "--max-calls", 60)
    assert status == 0
    manifest = manifest_of(place)
    assert manifest["pairs"] == 7
    assert manifest["left_out"] == {"over budget": 5}
    assert manifest["cost"]["questions"] == manifest["cost"]["judgements"] == 56
    assert manifest["judge"]["name"] == "scores"
    assert manifest["config"]["strategy"] == "champion"
    assert len(manifest["data_digest"]) == len(manifest["sha256"]["pairs.jsonl"]) == 64
    assert "7 pairs; 5 rows left out (5 over budget)" in capsys.readouterr().err


def test_a_judge_that_always_takes_the_first_gives_no_pair(tmp_path, scored, capsys):
    data, _ = scored
    status, place = run(tmp_path, data, "--judge", "scores", "--order-bias", "30")
    assert status == 2
    assert (
        "no pair: 12 rows left out (12 none below the best)"
        in (capsys.readouterr().err.splitlines()[-1])
    )
    assert not place.exists()
    assert not place.with_name("pairs.manifest.json").exists()


def test_the_checker_finds_the_true_solutions(tmp_path):
    pairs = arithmetic.pairs(8, seed=1, kinds=CORRUPTIONS)
    rows = [
        {
            "prompt": p.prompt,
            "completions": [p.rejected, p.chosen, "No."],
            "solution": p.chosen,
        }
        for p in pairs
    ]
    data = write(tmp_path / "c.jsonl", rows)
    status, place = run(tmp_path, data, "--judge", "checker", "--strategy", "extremes")
    assert status == 0
    found = [json.loads(line) for line in place.read_text().splitlines()]
    assert [row["chosen"] for row in found] == [p.chosen for p in pairs]
    for row, pair in zip(found, pairs, strict=True):
        assert row["rejected"] in (pair.rejected, "No.")


def test_likelihoods_of_the_embedded_model(tmp_path):
    """Best and worst are those of the model's own token log-probabilities."""
    import jax.numpy as jnp

    from gradlab.data.embedded import embedded_model_folder
    from gradlab.data.tokenizer import load_tokenizer
    from gradlab.models.hub import load_model
    from gradlab.models.logps import response_stats

    folder = embedded_model_folder()
    tokenizer, (model, params) = load_tokenizer(folder), load_model(folder)
    problem = arithmetic.problems(1, seed=5, steps=(2, 2), style="terse")[0]
    right = arithmetic.solution(problem)
    texts = [right, right.replace("The answer is", "So it is"), "The answer is 1."]
    prompt = [tokenizer.bos_id, *tokenizer.encode(problem.prompt)]
    sums, means = [], []
    for text in texts:
        response = [*tokenizer.encode(text), tokenizer.eos_id]
        stats = response_stats(
            model, params, jnp.array([[*prompt, *response]]),
            jnp.array([len(prompt)]), jnp.array([len(response)]), width=len(response),
        )  # fmt: skip
        sums.append(float(stats.logps.sum()))
        means.append(sums[-1] / len(response))
    row = {"prompt": problem.prompt, "completions": texts}
    data = write(tmp_path / "c.jsonl", [row])
    for judge, values in (("likelihood", sums), ("mean_likelihood", means)):
        more = ("--judge", judge, "--strategy", "merge_sort")
        status, place = run(tmp_path, data, *more, out=f"{judge}.jsonl")
        assert status == 0
        found = json.loads(place.read_text())
        assert found["chosen"] == texts[values.index(max(values))]
        assert found["rejected"] == texts[values.index(min(values))]


def test_bad_rows_are_refused_or_skipped(tmp_path, scored, capsys):
    data, _ = scored
    with open(data, "a") as file:
        file.write('{"prompt": "p", "completions": ["a", "b"]}\n')
    assert run(tmp_path, data, "--judge", "scores")[0] == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{data}, line 13: key missing" in error
    assert not (tmp_path / "out").exists()
    status, place = run(tmp_path, data, "--judge", "scores", "--on-bad-row", "skip")
    assert status == 0
    assert manifest_of(place)["left_out"] == {"key missing": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judge", "best"], "--judge best: expected checker, scores"),
        (["--judge", "no_module:f"], "can't import the judge 'no_module:f'"),
        (["--judge", "math:pi"], "the judge 'math:pi' is a float"),
        (["--judge", "https://a:b@host/v1", "--judge-model", "m"], "without user"),
        (["--judge", "https://host/v1"], "expected --judge-model NAME"),
        (["--judge", "scores", "--judge-model", "m"], "--judge-model is no setting"),
        (["--judge", "math:hypot", "--noise", "1"], "--noise is no setting of the"),
        (["--judge", "scores", "--noise", "-1"], "noise: found -1"),
        (["--judge", "scores", "--workers", "0"], "workers: found 0"),
        (["--judge", "scores", "--retries", "-1"], "retries: found -1"),
        (["--judge", "scores", "--limit", "0"], "limit: found 0"),
        (["--judge", "scores", "--max-calls", "3"], "no pair: 12 rows left out"),
        (["--judge", "checker"], "expected 'solution' too"),
        (["--judge", "likelihood", "--judge-model", "nowhere"], "nowhere"),
        (["--judge", "likelihood", "--batch-size", "0"], "--batch-size is 0"),
    ],
)
def test_refusals(tmp_path, scored, arguments, message, capsys):
    assert run(tmp_path, scored[0], *arguments)[0] == 2
    error = capsys.readouterr().err
    assert message in error.splitlines()[-1]
    assert "Traceback" not in error
    assert not [p for p in tmp_path.rglob("*") if "pairs" in p.name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judge-options", "{"], "--judge-options: expected a JSON object"),
        (["--judge-options", '{"model": "x"}'], "without model, messages"),
        (["--judge-key-env", KEY], "--judge-key-env: no environment variable"),
        (["--judge-prompt", "missing.txt"], "--judge-prompt missing.txt: can't be"),
    ],
)
def test_refusals_of_an_endpoint(tmp_path, scored, arguments, message, capsys):
    endpoint = ("--judge", "https://host/v1", "--judge-model", "m")
    assert run(tmp_path, scored[0], *endpoint, *arguments)[0] == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error
    assert KEY not in error


def test_an_earlier_result_is_not_replaced_unasked(tmp_path, scored, capsys):
    arguments = (scored[0], "--judge", "scores")
    _, place = run(tmp_path, *arguments)
    before = place.read_bytes()
    assert run(tmp_path, *arguments)[0] == 2
    assert "is there already; expected a new file" in capsys.readouterr().err
    judgements = place.with_name("pairs.judgements.jsonl").read_bytes()
    assert run(tmp_path, *arguments, "--overwrite", "--rejected", "second")[0] == 0
    assert place.read_bytes() != before
    assert place.with_name("pairs.judgements.jsonl").read_bytes() == judgements
    own = ("--judge", "scores", "--judgements", scored[0])
    assert run(tmp_path, scored[0], *own, out="c.jsonl")[0] == 2
    assert "other than completions and judgements" in capsys.readouterr().err


def test_scores_that_changed_are_asked_anew(tmp_path, scored):
    data, values = scored
    run(tmp_path, data, "--judge", "scores")
    rows = [json.loads(line) for line in Path(data).read_text().splitlines()]
    for row in rows[:3]:
        row["scores"] = [-score for score in row["scores"]]
    write(Path(data), rows)
    status, place = run(tmp_path, data, "--judge", "scores", "--overwrite")
    assert status == 0
    chosen = [json.loads(line)["chosen"] for line in place.read_text().splitlines()]
    best = [min(own) for own in values[:3]] + [max(own) for own in values[3:]]
    assert chosen == [f"answer {score}" for score in best]
    # Four comparisons in both orders; the nine other rows are not asked again.
    assert manifest_of(place)["cost"]["judgements"] == (12 + 3) * 8


def endpoint(server, kind, *more):
    patience = ("--retries", 3, "--judge-timeout", 20)
    return ("--judge", server.url(kind), "--judge-model", "m", *patience, *more)


def test_an_endpoint_with_faults_gives_the_same_pairs(
    tmp_path, scored, server, monkeypatch
):
    """Each question is answered by 429, 503, junk, and then the truth."""
    from gradlab.data.ranking import retry

    monkeypatch.setattr(retry.random.Random, "uniform", lambda *_: 0.0)
    _, good = run(tmp_path, scored[0], *endpoint(server, "good"), out="good.jsonl")
    status, place = run(tmp_path, scored[0], *endpoint(server, "flaky"))
    assert status == 0
    assert place.read_bytes() == good.read_bytes()
    cost = manifest_of(place)["cost"]
    assert cost["judgements"] == 96
    assert cost["attempts"] == 4 * 96 == server.seen("flaky")
    assert cost["unanswered"] == {"HTTP 429": 96, "HTTP 503": 96, "no verdict": 96}
    assert cost["prompt_tokens"] == 200 * 96


def test_a_judge_without_verdicts_is_reported(tmp_path, scored, server, capsys):
    junk = endpoint(server, "junk", "--retries", 0, "--max-failures")
    assert run(tmp_path, scored[0], *junk, 2)[0] == 2
    error = capsys.readouterr().err
    assert "no answer for 3 prompts (max_failures is 2)" in error
    assert run(tmp_path, scored[0], *junk, 12)[0] == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert (
        "no pair: 12 rows left out (12 no answer from the judge); no verdict" in error
    )


@pytest.mark.parametrize("kind", ["echo", "junk", "denied"])
def test_the_key_is_never_written_or_shown(
    tmp_path, scored, server, kind, monkeypatch, capfd
):
    """Servers that send it back, in an answer, in junk, in an error."""
    monkeypatch.setenv("THE_JUDGES_KEY", KEY)
    key = ("--retries", 0, "--judge-key-env", "THE_JUDGES_KEY")
    status, place = run(tmp_path, scored[0], *endpoint(server, kind, *key))
    assert status == (0 if kind == "echo" else 2)
    shown = capfd.readouterr()
    assert KEY not in shown.out + shown.err
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == {"echo": 4, "junk": 2, "denied": 1}[kind]
    for path in written:
        assert KEY.encode() not in path.read_bytes(), path
    if kind == "echo":
        assert "Bearer [key]" in place.with_name("pairs.judgements.jsonl").read_text()


JUDGE = """
import os, time

def judge(prompt, first, second):
    time.sleep(0.002)
    asked = os.open("asked.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(asked, f"{prompt}|{first}|{second}\\n".encode())
    os.close(asked)
    return float(int(first.split()[-1]) > int(second.split()[-1]))
"""


def test_killed_and_started_again_it_repeats_none_and_loses_none(tmp_path):
    """500 judgements: 50 prompts, 5 comparisons each, both orders."""
    (tmp_path / "logged.py").write_text(JUDGE)
    rows = [
        {
            "prompt": f"p{r}",
            "completions": [f"a {(r * 3 + k * 7) % 11}" for k in range(6)],
        }
        for r in range(50)
    ]
    data = write(tmp_path / "completions.jsonl", rows)
    command = [sys.executable, "-m", "gradlab", "rank", data, "--judge", "logged:judge"]
    command += ["--workers", "4", "--out"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    settings = {"cwd": tmp_path, "env": environment, "stderr": subprocess.PIPE}
    judgements, log = tmp_path / "a.judgements.jsonl", tmp_path / "asked.log"

    process = subprocess.Popen([*command, "a.jsonl"], **settings)
    while process.poll() is None and (
        not judgements.exists() or judgements.read_bytes().count(b"\n") < 150
    ):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = [json.loads(line) for line in judgements.read_bytes().splitlines()[1:-1]]
    assert process.returncode == -signal.SIGKILL
    assert 148 <= len(kept) < 500
    assert not (tmp_path / "a.jsonl").exists()

    before = log.read_text().splitlines()
    done = subprocess.run([*command, "a.jsonl"], **settings)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in judgements.read_text().splitlines()[1:]]
    assert (
        len({(x["row"], x["first"], x["second"]) for x in lines}) == 500 == len(lines)
    )
    after = log.read_text().splitlines()[len(before) :]
    texts = [(rows[x["row"] - 1]["prompt"], x["first"], x["second"]) for x in kept]
    known = {
        f"{p}|{rows[int(p[1:])]['completions'][i]}|{rows[int(p[1:])]['completions'][j]}"
        for p, i, j in texts
    }
    assert not known & set(after)
    # Only answers under way when it was killed, one a worker, can be asked twice.
    assert 500 <= len(before) + len(after) <= 504

    assert subprocess.run([*command, "b.jsonl"], **settings).returncode == 0
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
