"""A process of its own for one measurement: see `analyses.speed.memory.fresh_peak`."""

import pickle
import sys

from analyses.speed.parts import PARTS


def main() -> None:
    """Reads (config, seed, key of a case, side) and prints the peak in MiB."""
    config, seed, key, side = pickle.load(sys.stdin.buffer)
    cases = PARTS[key[0]](config, seed)
    case = next(c for c in cases if (c.part, c.setting, c.size) == key)
    program = case.sides[side]()
    print(program.peak(program.call))


if __name__ == "__main__":
    main()
