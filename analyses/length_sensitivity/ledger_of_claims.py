"""The claims of the study, fixed before the run.

Sources: abstracts of 2406.19188, 2407.15229, 2406.10957 and 2409.06411 (A), second-hand
descriptions of 2403.19159 and 2405.14734 (2), released code (C), own derivations (D).
That averaged DPO as public trainers have it is the loss of 2406.19188 or of 2407.15229
is inferred: the abstracts don't say whether the reference is averaged.

At equal sequence KL: the means over five levels inside the range where both losses have
trained policies, of all strengths and of the rates in `Task.matched_rates`; between
neighbouring policies the measure is linear in KL.
"""

from gradlab.tables import Claim

KL = "equal sequence KL"
STEPS = "equal steps and rate"

CLAIMS = {
    claim.id: claim
    for claim in (
        Claim(
            "S2.1a",
            "every token doubled: averaged losses stay, a summed margin doubles "
            "(effect: largest error)",
            "X", 1e-12, "A", paper="2406.19188",
        ),
        Claim(
            "S2.1b",
            "after training, doubling every token changes DPO's loss by a larger share "
            "than token-averaged cross-entropy (which it leaves alone: the effect is a "
            "size, and can be too small but not negative)",
            "S", 0.05, "A", matching_rule=STEPS, paper="2406.19188",
        ),
        Claim(
            "S2.2a",
            "tabular: averaged DPO and IPO reach pi_ref exp(L (r / beta - c)), plain "
            "ones pi_ref exp(r / beta - c) (effect: largest error in log-probability); "
            "the loss is inferred, the operator of the paper was not at hand",
            "X", 1e-5, "A", paper="2406.19188",
        ),
        Claim(
            "S2.2b",
            "that optimum is a fixed point of pi -> pi_ref exp(L (r / beta - c(pi)))",
            "X", 1e-9, "D",
        ),
        Claim(
            "S2.3a",
            "along a loss's beta path from the reference, length and score rise "
            "together",
            "O", 0.5, "A", matching_rule="beta path", paper="2406.19188",
        ),
        Claim(
            "S2.3b",
            "averaged DPO writes shorter than DPO at matched KL (effect: share of "
            "DPO's length)",
            "S", 0.05, "A", matching_rule=KL, paper="2406.19188",
        ),
        Claim(
            "S2.3c",
            "its score there is not higher (effect: .02 less its advantage as a share "
            "of DPO's score)",
            "S", 0.0, "A", matching_rule=KL, paper="2406.19188",
        ),
        Claim(
            "S2.4a",
            "averaged DPO's optimum is not that of reward less averaged KL (effect: "
            "the total variation that 95 % of instances exceed)",
            "S", 0.01, "D",
        ),
        Claim(
            "S2.4b",
            "at equal lengths it is (effect: largest total variation)",
            "X", 1e-8, "D",
        ),
        Claim(
            "S2.5",
            "equal lengths L: averaged DPO(beta L) = DPO(beta), averaged IPO(tau L) = "
            "IPO(tau) / L^2, values and token weights",
            "X", 1e-12, "D",
        ),
        Claim(
            "S2.6",
            "mass of a side: |c| L summed, |c| averaged; then the shorter side's tokens"
            " weigh L_long / L_short more; shared tokens get -c (1/L_c - 1/L_r) net",
            "X", 1e-12, "D",
        ),
        Claim(
            "S2.7a",
            "length-normalised DPO writes shorter than DPO (effect: share of length)",
            "S", 0.05, "A", paper="2407.15229",
        ),
        Claim(
            "S2.7b",
            "its score spreads less over rates and betas (effect: log of DPO's "
            "interquartile range over its own; 1.2 is .182)",
            "S", 0.182, "A", matching_rule="matched beta, five rates",
            paper="2407.15229",
        ),
        Claim(
            "S2.8",
            "length explains more of the implicit reward (the sum of log-ratios, their "
            "mean where the loss averages) on the policy's samples than on the data "
            "(effect: difference of R2)",
            "S", 0.05, "2", paper="2403.19159",
        ),
        Claim(
            "S2.9",
            "SamPO writes shorter than DPO (effect: share of DPO's length)",
            "S", 0.05, "A", paper="2406.10957",
        ),
        Claim(
            "S2.10a",
            "SimPO without length normalisation writes longer (effect: share of "
            "SimPO's length)",
            "S", 0.05, "2", paper="2405.14734",
        ),
        Claim(
            "S2.10b",
            "and scores worse on benchmarks",
            "S", 0.05, "2", paper="2405.14734",
        ),
        Claim(
            "S2.11",
            "LD-DPO: the smaller alpha, the shorter the responses (effect: rank "
            "correlation of alpha and length)",
            "O", 0.5, "A", matching_rule=STEPS, paper="2409.06411",
        ),
        Claim(
            "S2.12a",
            "at policy = reference policy-only LD-DPO has the margin beta (alpha - 1) "
            "(tail_c - tail_r); a shared SamPO draw has none",
            "X", 1e-12, "C", paper="2409.06411",
        ),
        Claim(
            "S2.12b",
            "SamPO with independent draws starts at a margin of mean 0 and of the "
            "spread of sampling without replacement (effect: spread over that, less 1)",
            "Q", 0.05, "C", paper="2406.10957",
        ),
        Claim(
            "S2.12c",
            "the mean of that margin (effect: in its standard deviations)",
            "Q", 0.1, "C", paper="2406.10957",
        ),
    )
}  # fmt: skip
