"""Which pairs a judge's answers make, and what a budget for the chosen side changes."""

from analyses.preference_pipeline.config import Config as Config
from analyses.preference_pipeline.ledger_of_claims import CLAIMS as CLAIMS
from analyses.preference_pipeline.study import run as run
