"""Language models as pure functions, and what they say about each token."""

from gradlab.models.decoder import Decoder as Decoder
from gradlab.models.decoder import DecoderConfig as DecoderConfig
from gradlab.models.functional import LanguageModel as LanguageModel
from gradlab.models.functional import build as build
from gradlab.models.functional import language_model as language_model
