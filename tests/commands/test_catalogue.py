"""`gradlab losses` and `gradlab cite`."""

import pytest

from gradlab.cli import main
from gradlab.losses import LOSSES


def test_all_losses_are_listed(capsys):
    assert main(["losses"]) == 0
    listed = capsys.readouterr().out
    for name in LOSSES:
        assert f"{name} " in listed


def test_one_family(capsys):
    assert main(["losses", "--family", LOSSES["dpop"].family]) == 0
    listed = capsys.readouterr().out
    assert "dpop" in listed
    assert "simpo" not in listed


def test_one_loss_whole(capsys):
    assert main(["losses", "dpop"]) == 0
    shown = capsys.readouterr().out
    parts = ("-log s(", "D_w = -beta (1 + lam", "2402.13228", "dpop_outside", "@misc")
    for part in parts:
        assert part in shown


def test_citations_are_printed_once_each(capsys):
    assert main(["cite", "dpop", "gsil", "dpop"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("@") == 2
    assert "2410.10093" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["losses", "dpopp"], "did you mean"),
        (["cite", "simpoo"], "did you mean"),
        (["cite"], "needs the name of a loss"),
        (["losses", "--family", "none"], "expected one of"),
    ],
)
def test_refusals(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
