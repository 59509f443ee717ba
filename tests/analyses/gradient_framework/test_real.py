"""Real pairs: cross pairs of forked prompts, and what is said of absent files."""

from dataclasses import replace

from analyses.gradient_framework import real
from analyses.gradient_framework.config import Config

ROWS = [
    {"topic": "sea", "prompt": "What swims?", "responses": ["A whale.", "A cod."]},
    {"topic": "sea", "prompt": "What sinks?", "responses": ["A stone.", "x"]},
    {"topic": "sea", "prompt": "n", "responses": ["Letters fell apart."]},
    {"topic": "sky", "prompt": "What flies?", "responses": ["A gull."]},
]


def test_bad_responses_are_those_of_another_prompt_of_the_topic():
    pairs = real.cross_pairs(ROWS, 0)
    assert [pair["prompt"] for pair in pairs] == ["What swims?", "What sinks?"]
    assert pairs[0]["chosen"] in (" A whale.", " A cod.")
    assert pairs[0]["rejected"] == " A stone."
    assert pairs[1]["chosen"] == " A stone."


def test_the_draw_decides_which_response():
    drawn = {real.cross_pairs(ROWS, draw)[0]["chosen"] for draw in range(20)}
    assert drawn == {" A whale.", " A cod."}


def test_absent_files_are_named(tmp_path):
    config = Config()
    assert set(real.missing(config, None)) == set(real.KINDS)
    assert "stories260K" in real.missing(config, tmp_path)["hh"]
    assert real.missing(replace(config, real_losses=()), None) == {}
    assert real.digests(config, None) == {}


def test_pairs_of_the_shared_corpus(shared):
    config = replace(Config(), seeds=(0,), real_pairs=6, real_held=3)
    train, held = real._split(config, "chatterbot", shared / "data")
    assert train.chosen.shape == (1, 6, real.KINDS["chatterbot"].length)
    prompts = {
        tuple(row[:start].tolist())
        for part in (train, held)
        for row, start in zip(part.chosen[0], part.start[0], strict=True)
    }
    assert len(prompts) == 9
