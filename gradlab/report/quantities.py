"""What colours a token: name, unit and sign of every quantity that a run may hold."""

from dataclasses import dataclass

LOWER, RAISE = "pushes the token down", "pushes it up"
FALLS, RISES = "the token falls", "it rises"


@dataclass(frozen=True)
class Quantity:
    """One column of the tokens table.

    Attributes:
      key: the column.
      label: its name on the page.
      unit: of its numbers.
      raises: sign of the values that raise the token; 0 where it has no such meaning
        and only the size is coloured.
      low: what a negative value says.
      high: what a positive value says; or, without a sign, what a dark token says.
      each_loss: differs between losses.
    """

    key: str
    label: str
    unit: str
    raises: int
    low: str
    high: str
    each_loss: bool = True


QUANTITIES = (
    Quantity("weight", "weight ∂L/∂log p", "loss per nat", -1, RAISE, LOWER),
    Quantity(
        "logit_grad_norm", "logit-gradient norm ‖∂L/∂logits‖", "loss per logit", 0,
        "", "a larger gradient on the logits",
    ),
    Quantity("predicted", "predicted drift Δ log p", "nats", 1, FALLS, RISES),
    Quantity("by_chosen", "drift caused by chosen tokens", "nats", 1, FALLS, RISES),
    Quantity("by_rejected", "drift caused by rejected tokens", "nats", 1, FALLS, RISES),
    Quantity("carried", "drift carried by the optimiser", "nats", 1, FALLS, RISES),
    Quantity("own", "drift caused by this pair alone", "nats", 1, FALLS, RISES),
    Quantity("realised", "realised drift Δ log p", "nats", 1, FALLS, RISES),
    Quantity("logp", "log-probability log p", "nats", 0, "", "less likely", False),
    Quantity(
        "ref_logp", "log-probability under the reference", "nats", 0, "",
        "less likely", False,
    ),
    Quantity("entropy", "entropy of the prediction", "nats", 0, "", "less sure", False),
)  # fmt: skip
