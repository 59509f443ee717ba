"""A process of its own for one peak of memory: see `analyses.training_speed.study`."""

import ctypes
import pickle
import sys
from collections.abc import Callable
from functools import partial

from analyses.speed.memory import highest, resident
from analyses.training_speed.ours import WAYS, Ours, load, reference
from analyses.training_speed.scene import Scene


def ours(scene: Scene, name: str) -> Callable[[], None]:
    """One round of gradlab's steps, compiled."""
    model, params = load(scene)
    side = Ours(scene, WAYS[name], model)
    table = reference(side, params)
    state = side.start(params)
    side.compile(state, table)
    del params

    def train() -> None:
        current = state
        for number in range(scene.size.batches):
            current, _ = side.step(number, current, table)

    return train


def main() -> None:
    """Reads (scene, side); prints the peak in MiB over what its imports take."""
    scene, name = pickle.load(sys.stdin.buffer)
    if name in WAYS:
        before = resident()
        train = ours(scene, name)
    else:
        from analyses.training_speed import trl_side

        before = resident()
        trainer = trl_side.make_trainer(
            scene, scene.size.batches, checkpointing=name.endswith("checkpointing")
        )

        train = partial(trl_side.train, trainer, lambda number, seconds: None)

    # What compiling and loading have freed goes back, also in small pieces.
    ctypes.CDLL(None).malloc_trim(0)
    print(highest(train) - before)


if __name__ == "__main__":
    main()
