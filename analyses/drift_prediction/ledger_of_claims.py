"""The claims of the study, fixed before the run.

Sources: 2410.08847 (T, C), 2410.13828 (2, C), 2407.10490 (C), 2410.11677 (2), the
abstract of a 2026 paper on token-level drift (A), and own derivations (D).
"""

from gradlab.tables import Claim

EQUAL = "equal update norm"
RATE = "equal learning rate"

CLAIMS = {
    claim.id: claim
    for claim in (
        Claim(
            "S6.0",
            "plain SGD, small step: Pearson of predicted and realised token drift is "
            "at least .99 for every loss without kinks (effect: the least, less .99, "
            "mean over seeds)",
            "S", 0.0, "D", matching_rule=EQUAL,
        ),
        Claim(
            "S6.0k",
            "the same for the losses with kinks",
            "S", 0.0, "D", matching_rule=EQUAL,
        ),
        Claim(
            "S6.1",
            "first-order prediction converges: slopes 1 and 2 of relative error and "
            "residual, 2 and 3 of the trapezoid rule (effect: largest deviation)",
            "X", 0.05, "D", matching_rule=EQUAL,
        ),
        Claim(
            "S6.2a",
            "after training on subsets of rising CHES the chosen drift falls",
            "O", 0.5, "T", matching_rule=RATE, paper="2410.08847",
        ),
        Claim(
            "S6.2b",
            "CHES ranks pairs by how far their own step lowers the chosen response",
            "O", 0.5, "T", matching_rule=RATE, paper="2410.08847",
        ),
        Claim(
            "S6.2c",
            "it ranks them better than edit distance and last-hidden cosine do",
            "H", 0.1, "T", matching_rule=RATE, paper="2410.08847",
        ),
        Claim(
            "S6.3a",
            "one step on a pair moves each side the way the weighted condition says, "
            "outside a band (effect: share of exceptions)",
            "X", 0.0, "2", matching_rule=EQUAL, paper="2410.13828",
        ),
        Claim(
            "S6.3b",
            "over a short run the chosen response falls the more, the larger the ratio "
            "of push to pull at its start",
            "O", 0.5, "2", matching_rule=RATE, paper="2410.13828",
        ),
        Claim(
            "S6.4",
            "the rejected score gradient is more often the larger one, and both falling"
            " is a commoner failure than both rising",
            "H", 0.05, "2", paper="2410.13828",
        ),
        Claim(
            "S6.5a",
            "the cosine of the score gradients grows with a shared suffix's length",
            "O", 0.5, "2", paper="2410.13828",
        ),
        Claim(
            "S6.5b",
            "the chosen response falls more, the longer the shared suffix",
            "O", 0.5, "2", matching_rule=RATE, paper="2410.13828",
        ),
        Claim(
            "S6.6a",
            "softmax rows: pushing an unlikely token down raises the argmax of the "
            "others, by the exact formula",
            "X", 1e-12, "C", paper="2407.10490",
        ),
        Claim(
            "S6.6b",
            "the argmax absorbs a larger share, the peakier the distribution",
            "O", 0.5, "C", paper="2407.10490",
        ),
        Claim(
            "S6.6c",
            "decoder: the argmax rises while an unlikely token is pushed down by a nat",
            "S", 0.02, "C", matching_rule="equal fall of the pushed token",
            paper="2407.10490",
        ),
        Claim(
            "S6.6d",
            "decoder: the other tokens fall meanwhile",
            "S", 0.02, "C", matching_rule="equal fall of the pushed token",
            paper="2407.10490",
        ),
        Claim(
            "S6.7",
            "over training the chosen response rises, then falls; the rejected one and "
            "most unrelated texts fall",
            "H", 0.0, "C", paper="2407.10490",
        ),
        Claim(
            "S6.8",
            "a pair's own gradient explains less than half of its change in a batch of "
            "32; momentum counts as not its own (effect: .5 less the median self "
            "share)",
            "S", 0.05, "D",
        ),
        Claim(
            "S6.9",
            "training on the lowest LN-CHES quarter leaves the chosen responses higher "
            "than training on as many pairs at random",
            "S", 0.05, "T", matching_rule=RATE, paper="2410.08847",
        ),
        Claim(
            "S6.10a",
            "fixed features, one token: a pair's step never lowers its chosen token",
            "X", 0.0, "2",
        ),
        Claim(
            "S6.10b",
            "trained features: some pair's own step lowers its chosen token (effect: "
            "largest fall per nat of margin gained)",
            "S", 0.01, "D", matching_rule="equal gain of margin",
        ),
        Claim(
            "S6.11",
            "top-k mass shrinks and entropy turns when quality turns",
            "S", 0.8, "2", paper="2410.11677",
        ),
        Claim(
            "S6.12",
            "drift is concentrated: the top 5 % of a response's tokens hold more of it "
            "than under a shuffle across responses",
            "S", 0.05, "A",
        ),
        Claim(
            "S6.13",
            "chosen, rejected, momentum and decay parts explain a run's drift; the "
            "residual is below a tenth (effect: .10 less the residual share)",
            "S", 0.0, "D",
        ),
    )
}  # fmt: skip
