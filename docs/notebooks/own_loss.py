# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own loss
#
# A loss is a function of token log-probabilities that returns one number per pair.
# Once it is written, everything in gradlab takes it: token weights, drift, training,
# figures, tables.
#
# Here: DPO that looks away from pairs it already orders, by the factor that focal
# loss puts before the cross-entropy.

# %%
import inspect
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import pandas as pd
from IPython.utils.capture import capture_output

import gradlab
from gradlab.cli import main
from gradlab.losses.contract import check_loss
from gradlab.losses.terms import log_ratios


def focal_dpo(pairs, *, beta=0.1, gamma=2.0):
    """DPO that looks away from pairs it already orders."""
    a, b = log_ratios(pairs, "focal_dpo")  # masked, [B] each
    wrong = jax.nn.sigmoid(-beta * (a - b))
    return -(wrong**gamma) * jax.nn.log_sigmoid(beta * (a - b))


# %% [markdown]
# ## What does it want?
#
# Its token weights follow by automatic differentiation. Along the margin h = a - b:

# %%
pair = gradlab.example_pair()


def weight(loss, h):
    """Weight on a chosen token of a pair whose margin is h, in nats."""
    chosen, rejected = pair.ref_chosen, pair.ref_rejected
    if h > 1:  # the example's own margin
        chosen = chosen.at[0, 0].add(1 - h)
    else:
        rejected = rejected.at[0, 0].add(h - 1)
    moved = replace(pair, ref_chosen=chosen, ref_rejected=rejected)
    return float(gradlab.token_weights(loss, moved).chosen[0, 0])


margins = [-40.0, -20.0, 0.0, 20.0, 40.0]
both = {"dpo": "dpo", "focal_dpo": focal_dpo}
weights = {name: [weight(loss, h) for h in margins] for name, loss in both.items()}
pd.DataFrame(weights, index=pd.Index(margins, name="h")).round(4)

# %% [markdown]
# On wrongly ordered pairs it presses a little harder than DPO; a pair that is ordered
# is let go much sooner.
#
# ## Does it keep the promises?
#
# Losses of gradlab give finite values and derivatives for all log-probabilities,
# ignore what padding holds, treat pairs alone, and more. `check_loss` tries all of it
# on yours:

# %%
for verdict in check_loss(focal_dpo):
    print(f"{verdict.outcome:8} {verdict.check}")

# %% [markdown]
# A careless version multiplies with the mask instead of selecting by it, and is found
# out:


# %%
def careless(pairs, *, beta=0.1):
    margin = jnp.sum(pairs.chosen * pairs.chosen_mask, -1)
    margin -= jnp.sum(pairs.rejected * pairs.rejected_mask, -1)
    return -jnp.log(jax.nn.sigmoid(beta * margin))


for verdict in check_loss(careless):
    if verdict.outcome == "failed":
        print(f"{verdict.check}: {verdict.promise}")

# %% [markdown]
# ## On a model
#
# On the command line it is `my_losses:focal_dpo(gamma=1)`, from a file in the current
# folder. Beside DPO, one step of equal length on word problems:

# %%
source = "import jax.nn\n\nfrom gradlab.losses.terms import log_ratios\n\n\n"
source += inspect.getsource(focal_dpo)
os.chdir(tempfile.mkdtemp())
Path("my_losses.py").write_text(source)
names = "dpo,my_losses:focal_dpo,dpo+0.5*my_losses:focal_dpo"
with capture_output():
    main(["drift", "--limit", "16", "--losses", names, "--out", "run"])

columns = ["share_falls", "predicted_chosen", "predicted_rejected", "pearson"]
pd.read_csv("run/summary.csv").set_index("loss")[columns].round(6)

# %% [markdown]
# The rows are alike: at the first step policy and reference agree, every pair has
# margin 0, and the factor is the same for all. It is during training that the two
# part.
#
# ## Publish it
#
# A loss that should stay gets a closed form for its weights, its reference, and a
# line in the catalogue; `CONTRIBUTING.md` says how. Its page, the tests of the
# contract and the figures come from there.
