"""The figure of the study `speed` from a table with the documented schema."""

import numpy as np
import pandas as pd
import pytest

from figures.speed import PANELS, draw
from gradlab.errors import GradlabError
from gradlab.tables import check_study_table, select
from tests.plotting.drawing import flaws

COLUMNS = [
    "study", "loss", "seed", "step", "side", "part", "setting", "size", "method",
    "device", "round", "metric", "value",
]  # fmt: skip
# part -> settings, sizes, sides with (seconds, MiB) at the smallest size
PARTS = {
    "drift": (
        ["all tokens"],
        [1024],
        {
            "gradlab": (0.05, 20),
            "forward_pass": (0.01, 4),
            "jax_backward": (5, 4),
            "torch_backward": (6, 4),
            "jax_batch_backward": (50, 9),
            "torch_batch_backward": (60, 9),
        },
    ),
    "pair_gradients": (
        ["norms", "gram"],
        [8, 16, 32, 64],
        {"gradlab": (0.2, 65), "jax_vmap": (0.15, 62), "torch_vmap": (0.3, 70)},
    ),
    "token_weights": (
        ["all losses"],
        [8, 32],
        {"gradlab": (4e-4, 0.1), "forward_pass": (0.03, 4)},
    ),
    "logps": (
        ["forward", "backward"],
        [256, 512, 1024, 2048],
        {"gradlab": (0.1, 100), "jax_full": (0.1, 100), "torch_full": (0.1, 150)},
    ),
}
FACTS = {"token_weights": ("losses", 48), "logps": ("vocab_size", 50_257)}


def speed_table(rounds: int = 3) -> pd.DataFrame:
    """Rows of every metric that the figure reads, in long format."""
    rng, rows = np.random.default_rng(0), []
    for part, (settings, sizes, sides) in PARTS.items():
        for setting in settings:
            for size in sizes:
                key = {"part": part, "setting": setting, "size": size}
                if part in FACTS:
                    metric, value = FACTS[part]
                    rows.append(key | {"metric": metric, "value": value})
                for side, numbers in sides.items():
                    rows += _side_rows(key | {"method": side}, numbers, sizes, rng)
    table = pd.DataFrame(rows).assign(study="speed", loss="dpo", seed=0, step=0)
    return table.assign(side="").reindex(columns=COLUMNS)


def _side_rows(key, numbers, sizes, rng, rounds=3):
    """Time grows with the size; memory too, but not that of gradlab."""
    seconds, memory = numbers
    growth = key["size"] / sizes[0]
    memory *= 1 if key["method"] == "gradlab" else growth
    rows = [
        {
            "round": i,
            "metric": "seconds",
            "value": seconds * growth * rng.lognormal(0, 0.1),
        }
        for i in range(rounds)
    ]
    ours = PARTS[key["part"]][2]["gradlab"][0]
    if key["method"] != "gradlab":
        for suffix, factor in (("", 1), ("_low", 0.9), ("_high", 1.1)):
            value = seconds / ours * factor
            rows.append({"metric": f"speedup{suffix}", "value": value})
    rows.append({"metric": "peak_mib", "value": memory})
    if "torch" not in key["method"]:
        rows.append({"metric": "xla_temp_mib", "value": 0.9 * memory})
    return [key | {"device": "cpu"} | row for row in rows]


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
    assert [title[0] for title in titles] == list("abcd")
    assert "1,024 tokens" in titles[0]
    assert "48 losses" in titles[2]


@pytest.mark.parametrize("part", PANELS)
def test_a_part_that_is_missing_has_no_panel(part):
    table = speed_table()
    figure = draw(table[table["part"] != part])["overview"]
    assert sum(ax.get_visible() for ax in figure.axes) == len(PANELS) - 1
    alone = draw(select(table, part=part))["overview"]
    assert [ax.get_visible() for ax in alone.axes] == [True]


def test_ratios_are_those_of_the_table():
    text = shown(select(speed_table(), part="drift"))
    assert "×100 (90 to 110)" in text
    assert "×120 (108 to 132)" in text


def test_memory_falls_back_on_what_xla_planned():
    table = speed_table()
    peaks = select(table, part="logps")
    planned = peaks[peaks["metric"] != "peak_mib"]
    labels = [draw(rows)["overview"].axes[0].get_ylabel() for rows in (peaks, planned)]
    assert labels == ["peak memory, MiB", "temporary memory, MiB"]
    assert "PyTorch" in shown(peaks)
    assert "PyTorch" not in shown(planned)


def test_skipped_sides_are_left_out():
    table = speed_table()
    torch = table["method"].fillna("").str.startswith("torch")
    first = table[torch].drop_duplicates(["part", "setting", "size", "method"])
    skipped = first.assign(metric="skipped", value=1.0, round=np.nan)
    rows = pd.concat([table[~torch], skipped], ignore_index=True)
    assert flaws(draw(rows)["overview"]) == []
    assert "PyTorch, " in shown(table)
    assert "PyTorch, " not in shown(rows)


def test_labels_of_lines_that_end_together_stay_apart():
    table = speed_table()
    table.loc[table["metric"] == "peak_mib", "value"] = 100.0
    assert flaws(draw(table)["overview"]) == []


def test_refuses_another_table():
    with pytest.raises(GradlabError, match=r"the table of speed lacks .*setting"):
        draw(select(speed_table(), part="drift").drop(columns="setting"))
