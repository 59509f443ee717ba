"""What a preference loss does to the chosen response of nearly equal pairs."""

from analyses.edit_distance.config import Config as Config
from analyses.edit_distance.ledger_of_claims import CLAIMS as CLAIMS
from analyses.edit_distance.study import run as run
