"""Preference losses: one published loss is one function of token log-probabilities.

Every loss takes `PairLogps` and keyword hyperparameters and returns one value per pair,
[B]. Masked tokens contribute exactly 0 to the value and to the gradient, whatever they
hold; values and gradients stay finite for log-probabilities from -1e4 to -1e-9 in
float32; every loss is safe under `jax.jit`, `jax.vmap` and `jax.grad`.
"""

from gradlab.losses.catalogue import ALIASES as ALIASES
from gradlab.losses.catalogue import LOSSES as LOSSES
from gradlab.losses.catalogue import LossInfo as LossInfo
from gradlab.losses.dpo import dpo as dpo
from gradlab.losses.dpo import hinge as hinge
from gradlab.losses.dpo import ipo as ipo
from gradlab.losses.example import example_pair as example_pair
from gradlab.losses.length_aware import averaged_dpo as averaged_dpo
from gradlab.losses.likelihood import exmate as exmate
from gradlab.losses.likelihood import mle as mle
from gradlab.losses.likelihood import unlikelihood_token as unlikelihood_token
from gradlab.losses.preserving import dpop as dpop
from gradlab.losses.preserving import rpo as rpo
from gradlab.losses.reference_free import orpo as orpo
from gradlab.losses.reference_free import simpo as simpo
from gradlab.losses.reference_free import slic as slic
from gradlab.losses.resolve import BoundLoss as BoundLoss
from gradlab.losses.resolve import resolve as resolve
from gradlab.losses.resolve import weighted_sum as weighted_sum
