"""What averaging the log-likelihood changes: optimum, weights, length, trade-off."""

from analyses.length_sensitivity.config import Config as Config
from analyses.length_sensitivity.ledger_of_claims import CLAIMS as CLAIMS
from analyses.length_sensitivity.study import run as run
