"""The figure of the study `training_speed` from a table with the documented schema."""

import numpy as np
import pandas as pd
import pytest

from figures.training_speed import SIDES, draw
from gradlab.errors import GradlabError
from gradlab.tables import check_study_table, select
from tests.plotting.drawing import flaws

COLUMNS = [
    "study", "loss", "seed", "step", "side", "size", "method", "round", "metric",
    "value",
]  # fmt: skip
# size -> sides with pairs per second; TRL's is the base of the ratios
RATES = {
    "4x256": {
        "gradlab": 4.0,
        "without_packing": 2.5,
        "without_response_head": 2.0,
        "without_bucketing": 3.0,
        "plain": 1.1,
        "saving": 3.2,
        "trl": 0.4,
    },
    "12x768": {"gradlab": 0.6, "saving": 0.5, "trl": 0.2},
}
PEAKS = {
    "gradlab": 900.0,
    "saving": 700.0,
    "trl": 6000.0,
    "trl_checkpointing": 5000.0,
}
WORK = {"gradlab": (10_000, 4_000), "trl": (25_000, 24_000)}


def speed_table(rounds: int = 3) -> pd.DataFrame:
    """Rows of every metric that the figure reads, in long format."""
    rows = []
    for size, sides in RATES.items():
        for method, rate in sides.items():
            key = {"size": size, "method": method}
            for number in range(rounds):
                value = rate * (0.95 + 0.05 * number)
                found = {"round": number, "metric": "pairs_per_second", "value": value}
                rows.append(key | found)
            for metric, base in (("ratio", sides["trl"]), ("cost", sides["gradlab"])):
                ratio = rate / base if metric == "ratio" else base / rate
                if ratio != 1:
                    for end, factor in (("", 1), ("_low", 0.9), ("_high", 1.1)):
                        value = ratio * factor
                        rows.append(key | {"metric": f"{metric}{end}", "value": value})
            for metric, value in zip(
                ("columns", "positions"), WORK.get(method, ()), strict=False
            ):
                rows.append(key | {"metric": metric, "value": value})
        for method, value in PEAKS.items():
            keys = {"size": size, "method": method, "metric": "peak_mib"}
            rows.append(keys | {"value": value})
    table = pd.DataFrame(rows).assign(
        study="training_speed", loss="dpo", seed=0, step=np.nan, side=""
    )
    return table.reindex(columns=COLUMNS)


def shown(table: pd.DataFrame) -> str:
    """All texts inside the axes of the figure."""
    figure = draw(table)["overview"]
    return "\n".join(t.get_text() for ax in figure.axes for t in ax.texts)


def test_all_panels_without_a_flaw():
    table = speed_table()
    check_study_table(table)
    figure = draw(table)["overview"]
    assert flaws(figure) == []
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["a  4 × 256", "b  12 × 768", "c  Memory"]
    assert set(SIDES) == set(RATES["4x256"]) | set(PEAKS)


def test_numbers_are_those_of_the_table():
    text = shown(speed_table())
    assert "gradlab: 4, ×10 TRL (9 to 11)" in text
    assert "without packing: 2.5, ÷1.6 (1.4 to 1.8)" in text
    assert "TRL: 0.4\n" in text
    assert "layers 40 %, head 17 %" in text
    assert "15 % of TRL\n" in text
    assert "14 % of TRL\n" in text


def test_bars_are_as_long_as_the_medians():
    ax = draw(speed_table())["overview"].axes[0]
    lengths = [bar.get_width() for bar in ax.patches]
    assert lengths == pytest.approx(list(RATES["4x256"].values()))


def test_sides_that_were_not_measured_are_left_out():
    table = speed_table()
    alone = table[~table["method"].str.startswith("trl")]
    alone = alone[~alone["metric"].str.startswith("ratio")]
    figure = draw(alone)["overview"]
    assert flaws(figure) == []
    assert "TRL" not in shown(alone)
    without_memory = table[table["metric"] != "peak_mib"]
    assert len(draw(without_memory)["overview"].axes) == 2


def test_a_study_that_was_skipped_has_no_figure():
    table = speed_table()[:1].assign(metric="skipped")
    assert draw(table) == {}


def test_refuses_another_table():
    table = select(speed_table(), size="4x256")
    with pytest.raises(GradlabError, match=r"the table of training_speed lacks .*size"):
        draw(table.drop(columns="size"))
