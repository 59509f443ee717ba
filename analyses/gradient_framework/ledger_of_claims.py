"""The claims of the study, fixed before the run.

Sources: the abstract (A) and the opening (I) of 2408.16751, the abstract of 2212.10515
with its released code, and own derivations (D). Normalisation, lambda, data and
metrics of 2408.16751 are not known here; which loss stands for "ExMATE" is named by the
setting, and none of these verdicts replicates one of its numbers.
"""

from gradlab.tables import Claim

FRAMEWORK, DIALOGUE = "2408.16751", "2212.10515"
RATE = "equal learning rate"

CLAIMS = {
    claim.id: claim
    for claim in (
        Claim(
            "S1.1a",
            "ExMATE in place of MLE raises agility, CE(bad) - CE(good) (effect: gain "
            "in nats per token)",
            "S", 0.05, "A", matching_rule=RATE, paper=FRAMEWORK,
        ),
        Claim(
            "S1.1b",
            "and leaves the cross-entropy of held-out good examples as it was (effect: "
            "change in nats per token)",
            "Q", 0.02, "A", matching_rule=RATE, paper=FRAMEWORK,
        ),
        Claim(
            "S1.2",
            "DPO with ExMATE beats DPO with MLE on statistical metrics (effect: "
            "relative gain)",
            "S", 0.02, "A", matching_rule=RATE, paper=FRAMEWORK,
        ),
        Claim(
            "S1.3",
            "and wins more often; here a sample wins by more correctly filled slots, "
            "ties half (effect: share of wins less .5)",
            "S", 0.02, "A", matching_rule=RATE, paper=FRAMEWORK,
        ),
        Claim(
            "S1.4a",
            "ExMATE improves agility over the conventional loss (effect: gain in nats "
            "per token)",
            "S", 0.05, "A", matching_rule=RATE, paper=DIALOGUE,
        ),
        Claim(
            "S1.4b",
            "and diversity: distinct-1 and distinct-2 (effect: relative gain)",
            "H", 0.02, "A", matching_rule=RATE, paper=DIALOGUE,
        ),
        Claim(
            "S1.5a",
            "MLE leaves more mass on tokens that never occur than losses with a "
            "penalty (effect: log ratio; e = log 1.1)",
            "S", 0.0953, "I", matching_rule=RATE, paper=FRAMEWORK,
        ),
        Claim(
            "S1.5b",
            "that mass is independent of the number of examples (effect: slope of its "
            "log on log n)",
            "Q", 0.05, "I", matching_rule=RATE, paper=FRAMEWORK,
        ),
        Claim(
            "S1.6",
            "weight of a bad token of probability p: odds under unlikelihood, p under "
            "ExMATE, at most beta under DPO",
            "X", 1e-12, "D",
        ),
        Claim(
            "S1.7a",
            "summed ExMATE and sequence unlikelihood lose their penalty exponentially "
            "with length; mean and token forms do not",
            "X", 1e-12, "D",
        ),
        Claim(
            "S1.7b",
            "so training on summed ExMATE ends as MLE does (effect: difference in "
            "held-out CE, nats per token)",
            "Q", 0.005, "D", matching_rule=RATE,
        ),
        Claim(
            "S1.8",
            "net weight of a shared token: 0 under DPO; under unlikelihood it changes "
            "sign at 1/(1+alpha); under ExMATE it raises the token for lambda <= 1",
            "X", 1e-12, "D",
        ),
        Claim(
            "S1.9",
            "at the first difference DPO always raises the good token; a penalty on "
            "the bad token alone lowers it iff sum p^2 > p_good + p_bad (effect: share "
            "of exceptions)",
            "X", 0.0, "D",
        ),
        Claim(
            "S1.10a",
            "tabular: DPO leaves the shared prefix at its start (effect: largest "
            "drift, nats)",
            "X", 1e-12, "D",
        ),
        Claim(
            "S1.10b",
            "tabular: MATE's bad example falls without end (effect: nats it falls in "
            "the second half of the run beyond those under ExMATE)",
            "S", 10.0, "D",
        ),
        Claim(
            "S1.10c",
            "tabular: unlikelihood pins shared tokens at 1/(1+alpha) (effect: largest "
            "distance)",
            "X", 0.02, "D",
        ),
        Claim(
            "S1.10d",
            "tabular: ExMATE keeps MLE's fit of the good example to half a nat with "
            "less mass on the bad token",
            "H", 0.0, "P",
        ),
        Claim(
            "S1.11a",
            "at the released coefficient (batch mean, lambda .05) CE of good examples "
            "is MLE's (effect: difference, nats per token)",
            "Q", 0.02, "D", matching_rule=RATE,
        ),
        Claim(
            "S1.11b",
            "and so is agility (effect: difference, nats per token)",
            "Q", 0.05, "D", matching_rule=RATE,
        ),
        Claim(
            "S1.12a",
            "a step on a pair lowers its good example iff push over pull exceeds "
            "n_c / <s_c, s_r>, outside a band (effect: share of exceptions)",
            "X", 0.0, "D",
        ),
        Claim(
            "S1.12b",
            "which summed ExMATE never reaches once the bad example is improbable "
            "(effect: least log of threshold over ratio)",
            "S", 0.0, "D",
        ),
    )
}  # fmt: skip
