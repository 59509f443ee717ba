"""Parts of the runs: disjoint, complete, and what the environment says of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.errors import GradlabError
from gradlab.training.sweep.shards import Shard, read_shard

SLURM = {
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_ARRAY_TASK_MIN": "5",
    "SLURM_ARRAY_TASK_STEP": "2",
    "SLURM_ARRAY_TASK_COUNT": "3",
}


@given(st.integers(0, 60), st.integers(1, 20))
def test_parts_are_disjoint_complete_and_even(count, parts):
    runs = list(range(count))
    split = [Shard(number, parts).of(runs) for number in range(1, parts + 1)]
    assert [run for part in split for run in part] == runs
    sizes = [len(part) for part in split]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("2/3", {}, (2, 3)),
        ("auto", SLURM, (2, 3)),
        ("auto/9", SLURM, (2, 9)),
        ("auto", {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "4"}, (1, 4)),
        ("auto/4", {"JOB_COMPLETION_INDEX": "3"}, (4, 4)),
    ],
)
def test_parts_by_name_and_by_environment(text, environment, expected):
    assert read_shard(text, environment) == expected


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("0/4", {}, "part 0 of 4; expected a part from 1 to N"),
        ("5/4", {}, "part 5 of 4"),
        ("1/0", {}, "part 1 of 0"),
        ("1", {}, "--shard is '1'; expected I/N"),
        ("a/b", {}, "--shard is 'a/b'"),
        ("-1/2", {}, "--shard is '-1/2'"),
        ("auto", {}, "found neither"),
        ("auto", {"JOB_COMPLETION_INDEX": "0"}, "expected auto/N"),
        ("auto/2", {"JOB_COMPLETION_INDEX": "2"}, "part 3 of 2"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_COUNT is None"),
        ("auto", SLURM | {"SLURM_ARRAY_TASK_ID": "x"}, "SLURM_ARRAY_TASK_ID is 'x'"),
    ],
)
def test_parts_that_do_not_exist(text, environment, message):
    with pytest.raises(GradlabError) as error:
        read_shard(text, environment)
    assert message in str(error.value)
