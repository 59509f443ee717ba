"""Language models as pure functions, and what they say about each token."""

from gradlab.models.decoder import Decoder as Decoder
from gradlab.models.decoder import DecoderConfig as DecoderConfig
from gradlab.models.functional import LanguageModel as LanguageModel
from gradlab.models.functional import build as build
from gradlab.models.functional import language_model as language_model
from gradlab.models.hub import load_model as load_model
from gradlab.models.hub import resolve_folder as resolve_folder
from gradlab.models.hub import save_model as save_model
from gradlab.models.logps import response_logps as response_logps
from gradlab.models.logps import response_stats as response_stats
from gradlab.models.logps import token_logps as token_logps
from gradlab.models.logps import token_stats as token_stats
from gradlab.models.logps import token_stats_from_logits as token_stats_from_logits
from gradlab.models.scoring import score_batches as score_batches
from gradlab.models.sharding import make_mesh as make_mesh
from gradlab.models.sharding import shard_batch as shard_batch
from gradlab.models.sharding import shard_params as shard_params
