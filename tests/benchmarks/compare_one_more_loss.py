"""What one more loss costs in `gradlab compare`: both sides in alternation.

    python tests/benchmarks/compare_one_more_loss.py [--rounds 5] [compare's arguments]

Each round runs the command in a fresh process without and with one more loss, in turns,
and the median over rounds of the ratio of wall times is reported. A process of its own
each time: a loss's compilation belongs to its cost.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

BASE = "mle,unlikelihood_token,exmate,dpo,ipo,averaged_dpo,hinge,slic,dpop,simpo,orpo"
MORE = "rpo"


def wall_seconds(losses: str, arguments: list[str]) -> float:
    """Wall time of one comparison in a process of its own."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "gradlab", "compare", "--losses", losses]
        started = time.monotonic()
        subprocess.run(
            [*command, "--out", f"{out}/run", *arguments],
            check=True,
            capture_output=True,
        )
        return time.monotonic() - started


def main() -> None:
    """Print each round and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options, arguments = parser.parse_known_args()
    ratios = []
    for number in range(options.rounds):
        order = (BASE, f"{BASE},{MORE}")
        # Turns are swapped each round, so that a drift of the machine cancels.
        order = order if number % 2 == 0 else order[::-1]
        times = {losses: wall_seconds(losses, arguments) for losses in order}
        base, more = times[BASE], times[f"{BASE},{MORE}"]
        ratios.append(more / base)
        print(f"11 losses {base:.2f} s, 12 losses {more:.2f} s: {more / base:.3f}")
    print(f"median ratio {statistics.median(ratios):.3f} over {options.rounds} rounds")


if __name__ == "__main__":
    main()
