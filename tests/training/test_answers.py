"""Word problems that a run's model solves on the way."""

from types import SimpleNamespace

import jax
import pandas as pd
import pytest

from gradlab.data import load_tokenizer
from gradlab.data.embedded import embedded_model_folder
from gradlab.data.tokenized import tokenize_pairs
from gradlab.inputs.loading import embedded_pairs
from gradlab.models import load_model
from gradlab.training.answers import OTHERS, AnswerProbe, new_problems


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(embedded_model_folder())


def test_problems_of_the_data_are_not_asked(tokenizer):
    seed = 3
    # The data of another run holds the very problems that this seed would ask.
    pairs = embedded_pairs(40, seed + OTHERS, every_length=True)
    rows = tokenize_pairs(pairs, tokenizer, max_length=256).pairs
    learned = {pair.prompt for pair in pairs.pairs}
    asked = new_problems(30, SimpleNamespace(rows=rows, tokenizer=tokenizer), seed)
    assert len({p.prompt for p in asked} - learned) == 30
    alone = new_problems(30, SimpleNamespace(rows=[], tokenizer=tokenizer), seed)
    assert learned & {p.prompt for p in alone}


def test_shares_of_the_steps_that_are_due(tokenizer, tmp_path):
    model, params = load_model(embedded_model_folder())
    asked = new_problems(4, SimpleNamespace(rows=[], tokenizer=tokenizer), 0)
    probe = AnswerProbe(model, tokenizer, asked, [0, 2], tmp_path)
    state = SimpleNamespace(params=params)
    probe.measure(0, state, None)
    probe.measure(1, None, None)  # not due: nothing is looked at
    probe.measure(
        2, SimpleNamespace(params=jax.tree.map(lambda x: 0 * x, params)), None
    )
    probe.finish()
    table = pd.read_csv(tmp_path / "answers.csv").set_index(["step", "metric"])
    assert set(table.index.get_level_values("step")) == {0, 2}
    assert table.loc[(0, "answer_right"), "share"] == 1
    assert table.loc[(2, "answer_right"), "share"] == 0
    for _, line in table.iterrows():
        assert line["low"] <= line["share"] <= line["high"]
        assert line["of"] == 4
