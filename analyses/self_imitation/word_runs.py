"""Self-play on word problems: every loss over the iterations, at both rates."""

from collections.abc import Iterator

from analyses.common.rows import Row
from analyses.self_imitation.config import Config
from analyses.self_imitation.members import LEARNERS, hyper_of
from analyses.self_imitation.runs import Play, drift_rows, each, train_iteration
from analyses.self_imitation.words import WordScene

WORDS, OWN_RATE = "words", "words own rate"


def word_plays(config: Config) -> Iterator[Play]:
    """All runs of a seed, those at the common rate first."""
    words = config.words
    for part, rates in (
        (WORDS, dict.fromkeys(config.learners, words.rate)),
        (OWN_RATE, words.own_rates),
    ):
        for loss in config.learners:
            yield Play(
                part, loss, rates[loss], words.scale, iterations=words.iterations
            )


def word_rows(scene: WordScene, play: Play) -> Iterator[Row]:
    """Trains, and tells after each iteration where the policy is.

    Yields:
      At the start and after each iteration the measures of `WordScene.quality`; at
      every stage of each (key step) d_chosen_sum and d_rejected_sum, mean log pi / pi_t
      of the watched demonstrations and of the iteration's own negatives, in nats.
    """
    params, samples = scene.params, scene.first_samples
    keys = {**play.keys, "seed": scene.seed}
    yield from each(scene.start_quality, iteration=0, **keys)
    for iteration in range(1, play.iterations + 1):
        sides = scene.demonstrations, [text.ids for text in samples]
        hyper = hyper_of(play.loss, play.scale, play.shift)
        params, drifts = train_iteration(
            scene, params, sides, LEARNERS[play.loss], hyper, play.rate, iteration
        )
        yield from drift_rows(scene, drifts, iteration, keys)
        samples = scene.sampled(params, iteration)
        yield from each(scene.quality(params, samples), iteration=iteration, **keys)
