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
# # Which tokens push the good answer down?
#
# A step of DPO raises the margin between a good and a bad answer. Quite often it
# lowers the good answer while it does so. Which tokens are to blame is known before
# the step is taken: to first order, the change of every token's log-probability is a
# sum over the tokens that the loss pushes, and it splits exactly into those of the
# chosen and those of the rejected answer.
#
# Everything below runs on a CPU in a minute or two, on word problems and a small
# model that come with gradlab. `--model` and `--data` put yours in their place.

# %%
import io
import os
import tempfile

import pandas as pd
from IPython.display import Image
from IPython.utils.capture import capture_output

from gradlab.cli import main
from gradlab.plotting import plot_waterfall
from gradlab.report import PairView

os.chdir(tempfile.mkdtemp())
run = "runs/drift"
losses = "dpo,dpop,simpo,unlikelihood_token"
with capture_output():
    main(["drift", "--limit", "24", "--losses", losses, "--out", run])

columns = ["share_falls", "predicted_chosen", "chosen_by_chosen", "chosen_by_rejected"]
pd.read_csv(f"{run}/summary.csv").set_index("loss")[columns].round(6)

# %% [markdown]
# `share_falls` is the share of pairs whose chosen answer loses likelihood by this
# step, the rest are nats, mean over pairs: the change of the chosen answer, and its two
# parts. The chosen tokens push it up under every loss here; what is taken away comes
# from the rejected ones, and of DPO's push little is left.
#
# ## Pair by pair

# %%
pairs = pd.read_csv(f"{run}/pairs.csv")
columns = ["pair", "edit_token", "chosen_by_chosen", "chosen_by_rejected"]
columns += ["predicted_chosen", "realised_chosen"]
dpo = pairs[pairs["loss"] == "dpo"].sort_values("predicted_chosen")
dpo[columns].head(6).round(6)

# %% [markdown]
# The pairs that fall most under DPO, in nats. The last two columns are the prediction
# and what the step really did.
#
# ## Token by token
#
# The pair that falls most:

# %%
worst = int(dpo["pair"].iloc[0])
tokens = pd.read_parquet(f"{run}/tokens.parquet")


def show(ax):
    picture = io.BytesIO()
    ax.figure.savefig(picture, dpi=110)
    return Image(picture.getvalue())


show(plot_waterfall(tokens, pair=worst, loss="dpo"))

# %% [markdown]
# Blue is what the chosen tokens cause, vermillion what the rejected ones cause, black
# the net; below stands the running total. A few tokens lose most of it:

# %%
chosen = tokens[(tokens["pair"] == worst) & (tokens["side"] == "chosen")]
chosen = chosen[chosen["loss"] == "dpo"].sort_values("predicted")
chosen[["position", "token", "region", "by_chosen", "by_rejected", "predicted"]].head(5)

# %% [markdown]
# ## In which part of the answer?
#
# Sums over all pairs of what each side does to the chosen answer, before, at and
# after the first token that differs:

# %%
side = tokens[tokens["side"] == "chosen"]
parts = side.groupby(["loss", "region"], observed=True)[["by_chosen", "by_rejected"]]
parts.sum().round(4)

# %% [markdown]
# In the prefix, which both answers share, most of what the two sides of DPO do cancels:
# the same tokens in the same contexts with opposite weights, up to what each side's
# other tokens do to them. Behind the first difference the contexts differ by one
# number, and the two sides still take from each other nearly all that they give. `dpop`
# does the same thing here, since its penalty is not active at the first step.
#
# ## Look around
#
# The page below is `PairView`: choose loss, quantity and side, point at a token. For
# all pairs of a run `gradlab report` makes one file of it.

# %%
PairView(run, worst)
