"""How do losses differ that reward a good and penalise a bad example?"""

from analyses.gradient_framework.config import Config as Config
from analyses.gradient_framework.ledger_of_claims import CLAIMS as CLAIMS
from analyses.gradient_framework.study import run as run
