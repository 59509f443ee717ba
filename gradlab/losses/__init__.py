"""Preference losses: one published loss is one function of token log-probabilities.

Every loss takes `PairLogps` and keyword hyperparameters and returns one value per pair,
[B]. Masked tokens contribute exactly 0 to the value and to the gradient, whatever they
hold; values and gradients stay finite for log-probabilities from -1e4 to -1e-9 in
float32; every loss is safe under `jax.jit`, `jax.vmap` and `jax.grad`.
"""

from gradlab.losses.anchored import apo_down as apo_down
from gradlab.losses.anchored import apo_zero as apo_zero
from gradlab.losses.anchored import bco_pair as bco_pair
from gradlab.losses.anchored import sppo_hard as sppo_hard
from gradlab.losses.averaged_reward import alphapo as alphapo
from gradlab.losses.averaged_reward import simpo as simpo
from gradlab.losses.budget import bcr_added as bcr_added
from gradlab.losses.budget import bcr_inside as bcr_inside
from gradlab.losses.catalogue import ALIASES as ALIASES
from gradlab.losses.catalogue import LOSSES as LOSSES
from gradlab.losses.combined import dpo_exmate as dpo_exmate
from gradlab.losses.combined import dpo_mle as dpo_mle
from gradlab.losses.contrastive import infonca as infonca
from gradlab.losses.contrastive import infonca_candidates as infonca_candidates
from gradlab.losses.contrastive import nca_pair as nca_pair
from gradlab.losses.demonstration import dil as dil
from gradlab.losses.demonstration import gsil as gsil
from gradlab.losses.demonstration import spin as spin
from gradlab.losses.divergences import discopop as discopop
from gradlab.losses.divergences import exo_pair as exo_pair
from gradlab.losses.divergences import f_dpo as f_dpo
from gradlab.losses.dpo import averaged_ipo as averaged_ipo
from gradlab.losses.dpo import cdpo as cdpo
from gradlab.losses.dpo import dpo as dpo
from gradlab.losses.dpo import hinge as hinge
from gradlab.losses.dpo import ipo as ipo
from gradlab.losses.dpo import robust_dpo as robust_dpo
from gradlab.losses.example import example_pair as example_pair
from gradlab.losses.example import random_pairs as random_pairs
from gradlab.losses.info import LossInfo as LossInfo
from gradlab.losses.length_aware import averaged_dpo as averaged_dpo
from gradlab.losses.length_aware import lddpo as lddpo
from gradlab.losses.length_aware import rdpo as rdpo
from gradlab.losses.length_aware import sigmoid_norm as sigmoid_norm
from gradlab.losses.likelihood import mle as mle
from gradlab.losses.likelihood import sft as sft
from gradlab.losses.likelihood import unlikelihood_sequence as unlikelihood_sequence
from gradlab.losses.likelihood import unlikelihood_token as unlikelihood_token
from gradlab.losses.plain import plain as plain
from gradlab.losses.plain import takes_sums as takes_sums
from gradlab.losses.preserving import dpop as dpop
from gradlab.losses.preserving import dpop_inside_nobeta as dpop_inside_nobeta
from gradlab.losses.preserving import dpop_outside as dpop_outside
from gradlab.losses.preserving import irpo as irpo
from gradlab.losses.preserving import rpo as rpo
from gradlab.losses.reference_free import cpo as cpo
from gradlab.losses.reference_free import orpo as orpo
from gradlab.losses.reference_free import slic as slic
from gradlab.losses.resolve import BoundLoss as BoundLoss
from gradlab.losses.resolve import resolve as resolve
from gradlab.losses.resolve import weighted_sum as weighted_sum
from gradlab.losses.reweighted import draw_kept as draw_kept
from gradlab.losses.reweighted import sampo as sampo
from gradlab.losses.reweighted import wpo as wpo
from gradlab.losses.shifted import bpo as bpo
from gradlab.losses.shifted import cal_dpo as cal_dpo
from gradlab.losses.shifted import dpo_shift as dpo_shift
from gradlab.losses.shifted import flexdpo as flexdpo
from gradlab.losses.transport import aot as aot
from gradlab.losses.transport import aot_unpaired as aot_unpaired
from gradlab.losses.treatment_effect import exmate as exmate
from gradlab.losses.treatment_effect import mate as mate
from gradlab.losses.unpaired import kto as kto
from gradlab.losses.unpaired import kto_examples as kto_examples
from gradlab.losses.unpaired import kto_pair as kto_pair
from gradlab.losses.unpaired import kto_pair_examples as kto_pair_examples
