"""What colours a token: name, unit and sign of every quantity that a run may hold."""

from dataclasses import dataclass

RAISED, LOWERED = "a gradient step raises the token", "it lowers the token"
FALLS, RISES = "the token falls", "the token rises"


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
      linear: always coloured on a linear scale.
    """

    key: str
    label: str
    unit: str
    raises: int
    low: str
    high: str
    each_loss: bool = True
    linear: bool = False


QUANTITIES = (
    Quantity("weight", "weight ∂L/∂log p", "loss per nat", -1, RAISED, LOWERED),
    Quantity(
        "logit_grad_norm", "logit-gradient norm ‖∂L/∂logits‖", "loss per logit", 0,
        "", "the larger the gradient on the logits",
    ),
    Quantity("predicted", "predicted drift Δ log p", "nats", 1, FALLS, RISES),
    Quantity("by_chosen", "drift caused by chosen tokens", "nats", 1, FALLS, RISES),
    Quantity("by_rejected", "drift caused by rejected tokens", "nats", 1, FALLS, RISES),
    Quantity("carried", "drift carried by the optimiser", "nats", 1, FALLS, RISES),
    Quantity("own", "drift caused by this pair alone", "nats", 1, FALLS, RISES),
    Quantity("drift", "drift Δ log p since the start", "nats", 1, FALLS, RISES),
    Quantity("realised", "realised drift Δ log p", "nats", 1, FALLS, RISES),
    Quantity(
        "logp", "log-probability log p", "nats", 0, "", "the less likely", False, True
    ),
    Quantity(
        "ref_logp", "log-probability under the reference", "nats", 0, "",
        "the less likely", False, True,
    ),
    Quantity(
        "entropy", "entropy of the prediction", "nats", 0, "", "the less sure", False,
        True,
    ),
)  # fmt: skip
