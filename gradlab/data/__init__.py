"""Preference pairs: read, tokenise, batch."""

from gradlab.data.batches import SideBatch as SideBatch
from gradlab.data.batches import TokenizedPair as TokenizedPair
from gradlab.data.batches import TokenizedPairs as TokenizedPairs
from gradlab.data.batches import batches as batches
from gradlab.data.batches import tokenize_pairs as tokenize_pairs
from gradlab.data.pairs import Pair as Pair
from gradlab.data.pairs import PairFile as PairFile
from gradlab.data.pairs import read_pairs as read_pairs
from gradlab.data.tokenizer import Tokenizer as Tokenizer
from gradlab.data.tokenizer import load_tokenizer as load_tokenizer
