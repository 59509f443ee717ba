"""The tokens table of a comparison onto the disk, one loss after another."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gradlab.comparison.frames import with_loss
from gradlab.comparison.weighing import LossWeights
from gradlab.inputs.scored import ScoredPairs
from gradlab.plotting import example_pair
from gradlab.plotting.pairs import FIGURE_PAIRS


def write_tokens(
    path: Path,
    tokens: pd.DataFrame,
    scored: ScoredPairs,
    weighed: Sequence[LossWeights],
    *,
    pair: int | None = None,
) -> pd.DataFrame:
    """Writes the tokens table; returns the rows that figures show.

    One row group per loss: memory stays that of one loss however many there are.

    Args:
      path: of the Parquet file.
      tokens: the result of `token_frame`.
      scored: the pairs.
      weighed: the losses.
      pair: whose text figures show; a short, typical one by default.
    """
    labels = [weights.loss.label for weights in weighed]
    first = with_loss(tokens, scored, weighed[0], labels)
    pair = example_pair(first) if pair is None else pair
    figured = (tokens["pair"] < FIGURE_PAIRS) | (tokens["pair"] == pair)
    shown = []
    schema = pa.Schema.from_pandas(first, preserve_index=False)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for weights in weighed:
            rows = with_loss(tokens, scored, weights, labels)
            writer.write_table(pa.Table.from_pandas(rows, schema, preserve_index=False))
            shown.append(rows[figured])
    return pd.concat(shown, ignore_index=True)
