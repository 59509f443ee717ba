"""What a run keeps when its time is over."""

import jax

from analyses.common.record import OVER, Record, compile_effort


def test_parts_after_the_time_limit_are_marked(capsys):
    record = Record(time_limit=60.0)
    record.add("first", lambda: [{"metric": "kept"}])
    record.started -= 61
    record.add("second", lambda: [{"metric": "never"}])
    record.say("over")
    assert record.rows == [{"metric": "kept"}]
    assert record.skipped == {"second": OVER}
    assert "61 s  over" in capsys.readouterr().err


def test_compile_effort_is_set_back():
    before = jax.config.read("jax_disable_most_optimizations")
    with compile_effort(quick=True):
        assert jax.config.read("jax_disable_most_optimizations")
    assert jax.config.read("jax_disable_most_optimizations") == before
