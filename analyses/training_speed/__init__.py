"""DPO steps of gradlab beside those of TRL: pairs per second and memory."""

from analyses.training_speed.config import Config as Config
from analyses.training_speed.study import run as run
