"""Do density-ratio losses learn demonstrations better than SFT and SPIN?"""

from analyses.self_imitation.config import Config as Config
from analyses.self_imitation.ledger_of_claims import CLAIMS as CLAIMS
from analyses.self_imitation.study import run as run
