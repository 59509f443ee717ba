"""Gradients of preference losses, from token weights to parameters."""

from gradlab.gradients.token import logit_gradient_norm as logit_gradient_norm
from gradlab.gradients.token import token_weights as token_weights
from gradlab.gradients.token import value_and_token_weights as value_and_token_weights
