"""Published token weights: dL/dlogp written out by hand, one function per loss.

They are the independent check of automatic differentiation, and they say at a glance
what a loss does to a token. Each takes `(pairs, *, <the loss's hyperparameters>)` and
returns `PairWeights`: the derivative of the summed losses, so that for losses which
couple pairs through the batch it is B times the derivative of the batch mean.
"""
