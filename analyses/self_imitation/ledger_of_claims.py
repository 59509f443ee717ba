"""The claims of the study, fixed before the run.

Sources: the abstract (A), released code (C) and experiment list (2) of 2410.10093, a
figure caption of 2503.05079 (2), own derivations (D). No result of the papers was at
hand: where a benchmark comparison stands behind a row it is a question, not a claim of
record.
"""

from math import log

from gradlab.tables import Claim

UPDATE = "equal initial update norm (Adam)"
RATES = "equal initial update norm (Adam), or own learning rates"
FALL = "equal fall of the negatives"
GSIL = "2410.10093"

CLAIMS = {
    claim.id: claim
    for claim in (
        Claim(
            "S5.1a",
            "question: a density-ratio member comes closer to the source than SFT "
            "(effect: difference of KL(data, policy), nats per token or outcome)",
            "S", 0.02, "2", matching_rule=RATES, paper=GSIL,
        ),
        Claim(
            "S5.1b", "question: it comes closer to the source than SPIN (same effect)",
            "S", 0.02, "2", matching_rule=RATES, paper=GSIL,
        ),
        Claim(
            "S5.1c",
            "question: it answers exactly more often than SFT (share of prompts)",
            "S", 0.02, "2", matching_rule=RATES, paper=GSIL,
        ),
        Claim(
            "S5.1d", "question: it answers exactly more often than SPIN",
            "S", 0.02, "2", matching_rule=RATES, paper=GSIL,
        ),
        Claim(
            "S5.2a",
            "strictly proper members: l_-1'(z) = -e^z l_1'(z) (relative, |z| <= 8)",
            "X", 1e-10, "C", paper=GSIL,
        ),
        Claim(
            "S5.2b",
            "their pointwise optimum is z = log(p_data / p_generated)",
            "X", 1e-10, "C", paper=GSIL,
        ),
        Claim(
            "S5.2c",
            "the others' is not: the hinge ends at the sign of that log-ratio, "
            "e^-z + e^z at half of it",
            "X", 1e-10, "D",
        ),
        Claim(
            "S5.2d",
            "a policy trained with a proper member is calibrated: slope 1 of its "
            "log-ratio on the true one (effect: slope less 1; scale 1, no shift)",
            "Q", 0.05, "D",
        ),
        Claim(
            "S5.3a",
            "pointwise terms leave demonstrations higher than SPIN (nats per token)",
            "S", 0.02, "D", matching_rule=FALL,
        ),
        Claim(
            "S5.3b",
            "their negatives fall about as much as SPIN's (relative difference)",
            "Q", 0.2, "D", matching_rule=UPDATE,
        ),
        Claim(
            "S5.3c", "demonstrations rise above where they started (nats per token)",
            "S", 0.0, "D", matching_rule=UPDATE,
        ),
        Claim(
            "S5.4a",
            "a positive shift drains demonstrations and negatives (effect: the smaller "
            "fall, nats)",
            "S", 0.1, "D",
        ),
        Claim(
            "S5.4b",
            "both fall the more, the lower (log r - shift) / scale (rank correlation "
            "over scales and positive shifts)",
            "O", 0.5, "D",
        ),
        Claim(
            "S5.5",
            "at the start the generated side weighs e^shift times the real one "
            "(relative error)",
            "X", 1e-12, "D",
        ),
        Claim(
            "S5.6a",
            "weights: Bernoulli, hinge and Brier bounded by 1, 1 and 8/27; KLIEP's "
            "real one constant; LSIF's real one e^z (largest excess or deviation)",
            "X", 1e-12, "C", paper=GSIL,
        ),
        Claim(
            "S5.6b",
            "LSIF at scale 1 has the largest spread over samples (effect: log ratio of "
            "standard deviations of KL to that of the widest other member)",
            "S", log(1.5), "D",
        ),
        Claim(
            "S5.6c",
            "LSIF at scale 1 diverges: a share of runs ends a nat or more further from "
            "the source than it began, larger than of any other member",
            "S", 0.05, "D",
        ),
        Claim(
            "S5.7a",
            "iterating moves towards the data: KL falls over the iterations (rank "
            "correlation)",
            "O", 0.5, "C", paper=GSIL,
        ),
        Claim(
            "S5.7b",
            "started at the source nothing drifts (effect: KL from the source, nats "
            "per token or outcome)",
            "Q", 0.005, "D",
        ),
        Claim(
            "S5.8",
            "on corrupted pairs the demonstrations fall less under DIL than under "
            "SimPO and DPO (nats per response)",
            "H", 0.05, "2", paper="2503.05079",
        ),
        Claim(
            "S5.9",
            "greedy negatives push the mode down: entropy after training is higher "
            "than with sampled ones (nats per token or outcome)",
            "S", 0.02, "D", matching_rule=UPDATE,
        ),
        Claim(
            "S5.10a",
            "question: self-play raises the share of exact answers (last iteration "
            "less start)",
            "S", 0.02, "2", matching_rule=RATES, paper=GSIL,
        ),
        Claim(
            "S5.10b",
            "question: it still does behind the first iteration (last less first)",
            "S", 0.02, "2", matching_rule=RATES, paper=GSIL,
        ),
        Claim(
            "S5.11a",
            "in every iteration demonstrations gain on its negatives (effect: smallest "
            "margin of log(pi / pi_t), nats per token of a demonstration)",
            "S", 0.02, "D", matching_rule=RATES,
        ),
        Claim(
            "S5.11b",
            "the margin of the last iteration is smaller than the first one's, since "
            "samples have come to be like demonstrations (nats per token)",
            "S", 0.02, "D", matching_rule=RATES,
        ),
    )
}  # fmt: skip
