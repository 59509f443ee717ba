"""Do one-step gradients tell whose likelihood will move, for every loss alike?"""

from analyses.drift_prediction.config import Config as Config
from analyses.drift_prediction.ledger_of_claims import CLAIMS as CLAIMS
from analyses.drift_prediction.study import run as run
