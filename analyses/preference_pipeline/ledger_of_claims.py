"""The claims of the study, fixed before the run.

Sources: the abstract of 2411.05875 (A), neither whose regulariser nor whose ranking
procedure was at hand, so that a family of budgets and a set of sequential schemes stand
in for them; 2410.11677 (2); own derivations (D) and an own pilot (P).
"""

from gradlab.tables import Claim

PAPER = "2411.05875"
CALLS = "equal judge calls"
STEPS = "equal steps of Adam at one rate"

CLAIMS = {
    claim.id: claim
    for claim in (
        Claim(
            "S3.1a",
            "pairs by distorted scores are poorer than pairs by comparisons: regret of "
            "the chosen one (effect: scores less comparisons, in sd of utility; the "
            "increase: less the same without distortion, on the same pools)",
            "S", 0.05, "A", paper=PAPER,
        ),
        Claim(
            "S3.1b",
            "the same for the share of pairs with the better one chosen (effect: "
            "comparisons less scores)",
            "S", 0.02, "A", paper=PAPER,
        ),
        Claim(
            "S3.1c",
            "the same for regret between pairs of equal gap in utility",
            "S", 0.05, "A", paper=PAPER, matching_rule="equal pair gap",
        ),
        Claim(
            "S3.1d",
            "under matched independent noise both leave nearly the same regret",
            "Q", 0.05, "A", paper=PAPER,
        ),
        Claim(
            "S3.2a",
            "iterative ranking leaves less regret than scoring, at matched noise "
            "(effect: scores less comparisons, in sd of utility)",
            "S", 0.05, "A", paper=PAPER, matching_rule=CALLS,
        ),
        Claim(
            "S3.2b",
            "the same for the share of pairs with the better one chosen",
            "S", 0.02, "A", paper=PAPER, matching_rule=CALLS,
        ),
        Claim(
            "S3.3",
            "a limited fall of the chosen likelihood is best: utility at delta*, taken "
            "on other seeds among budgets above 0, over that at 0 and without budget",
            "H", 0.02, "A", paper=PAPER,
        ),
        Claim(
            "S3.3a",
            "the same on SimPO and IPO, at budgets that were fixed before",
            "H", 0.02, "A", paper=PAPER,
        ),
        Claim(
            "S3.4",
            "a likelihood term strictly prevents a fall (effect: .01 less the share of "
            "chosen responses below their start)",
            "S", 0.0, "A", paper=PAPER, matching_rule=STEPS,
        ),
        Claim(
            "S3.5",
            "the budget holds where its base exceeds it (effects: 1.1 delta less the "
            "95th percentile of the fall; the base's less 1.1 delta)",
            "S", 0.0, "A", paper=PAPER, matching_rule=STEPS,
        ),
        Claim(
            "S3.6",
            "ranking and regulariser together beat earlier methods on two benchmarks",
            "S", 0.0, "A", paper=PAPER,
        ),
        Claim(
            "S3.6a",
            "length task: pairs by comparisons with a budget give more utility than "
            "either with the other's rival, and than both rivals",
            "H", 0.02, "A", paper=PAPER,
        ),
        # As an identity it could not fail: a hundredfold margin is beyond any factor.
        Claim(
            "S3.7a",
            "linear model: the least lambda that holds the budget is the predicted one "
            "(effect: log of measured over predicted, of a seed's worst instance; e: a "
            "factor of 1.25)",
            "Q", 0.2231, "D",
        ),
        Claim(
            "S3.7b",
            "decoder: the larger lambda over its threshold, the smaller the 95th "
            "percentile of the fall",
            "O", 0.5, "D", matching_rule=STEPS,
        ),
        Claim(
            "S3.8",
            "win rate over the reference is quadratic in the mean chosen drift, with "
            "its peak inside (AIC better than a line's by 2)",
            "H", 0.0, "2", paper="2410.11677", matching_rule=STEPS,
        ),
        Claim(
            "S3.9a",
            "at matched noise a running winner finds the best candidate about as often "
            "as one score each",
            "Q", 0.05, "P",
        ),
        Claim(
            "S3.9b",
            "the rejected rule makes the gap: lowest over last loser, in sd of utility",
            "S", 0.5, "P",
        ),
        Claim(
            "S3.10a",
            "order bias, running winner: champion always first costs less regret than "
            "a random order",
            "S", 0.02, "P",
        ),
        Claim(
            "S3.10b",
            "order bias, running winner: asking in both orders, for twice the calls, "
            "costs less regret than asking once in random order",
            "S", 0.02, "P",
        ),
    )
}  # fmt: skip
