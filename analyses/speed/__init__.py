"""Time and memory of gradlab beside the plain ways in JAX and in PyTorch."""

from analyses.speed.config import Config as Config
from analyses.speed.study import run as run
