"""The claims of the study, fixed before the run.

Sources: 2402.13228 (its abstract; its body by a secondary description of version 2;
reports of users and authors in public threads), 2410.08847, and own derivations and
pilot (D, P). None of the papers' numbers is a target.
"""

from gradlab.tables import Claim

RATE = "equal first Adam update"
MARGIN = "equal gain of margin"  # of the settings that name one
SMAUG = "2402.13228"

CLAIMS = {
    claim.id: claim
    for claim in (
        Claim(
            "S4.0",
            "the policy of the word problems starts at .90 exact answers or more, so "
            "that a fall is a fall (effect: its share solved less .90)",
            "S", 0.0, "D",
        ),
        Claim(
            "S4.1",
            "with low edit distance DPO lowers the chosen likelihood (effect: fall of "
            "the summed log-probability, nats)",
            "S", 0.05, "A", matching_rule=RATE, paper=SMAUG,
        ),
        Claim(
            "S4.2a",
            "under DPO the tokens after the first difference fall (nats per token)",
            "S", 0.005, "2", matching_rule=RATE, paper=SMAUG,
        ),
        Claim(
            "S4.2b",
            "DPO-Positive holds them at or above the reference (effect: their rise, "
            "nats per token; where they stay as they are it is inconclusive)",
            "S", 0.005, "2", matching_rule=RATE, paper=SMAUG,
        ),
        Claim(
            "S4.3",
            "shared logits: no pull before the difference, up at it, p_r - p_c after "
            "it; the penalty adds lam (1 - p_c)",
            "X", 1e-12, "2", paper=SMAUG,
        ),
        Claim(
            "S4.4",
            "in a network -(p_c - p_r) ranks the drift of the shared tokens after the "
            "difference under a step of DPO on their pair alone",
            "S", 0.3, "D",
        ),
        Claim(
            "S4.5a",
            "training on one wrong result: DPO and SLiC end below the base in exact "
            "answers",
            "H", 0.02, "2", matching_rule=RATE, paper=SMAUG,
        ),
        Claim(
            "S4.5b",
            "DPO-Positive ends above the base in exact answers",
            "S", 0.02, "2", matching_rule=RATE, paper=SMAUG,
        ),
        Claim(
            "S4.5c",
            "IPO ends no more than .02 above the base in exact answers (effect: .02 "
            "less its gain)",
            "S", 0.0, "2", matching_rule=RATE, paper=SMAUG,
        ),
        Claim(
            "S4.6a",
            "whole response replaced: DPO, SLiC and DPO-Positive improve choice "
            "accuracy, DPO-Positive most",
            "H", 0.02, "2", matching_rule=RATE, paper=SMAUG,
        ),
        Claim(
            "S4.6b",
            "whole response replaced: the chosen likelihood rises under DPO, SLiC and "
            "DPO-Positive (nats)",
            "H", 0.05, "P", matching_rule=RATE,
        ),
        Claim(
            "S4.7a",
            "the penalty's strength, 5 or 500 against 50, changes exact answers little",
            "Q", 0.02, "2", matching_rule=RATE, paper=SMAUG,
        ),
        Claim(
            "S4.7b",
            "nor does it change the drift after the difference (nats per token)",
            "Q", 0.01, "2", matching_rule=RATE, paper=SMAUG,
        ),
        Claim(
            "S4.8a",
            "no beta of .1, .3, 1 rescues DPO at low edit distance: exact answers end "
            "below the base",
            "S", 0.02, "2", matching_rule=RATE, paper=SMAUG,
        ),
        Claim(
            "S4.8b",
            "nor does one hold the tokens after the difference (nats per token)",
            "S", 0.005, "D", matching_rule=RATE,
        ),
        Claim(
            "S4.9",
            "DPO's effect weakens as the edit distance grows: the drift after the "
            "first difference rises with the edited share",
            "O", 0.5, "2", matching_rule=RATE, paper=SMAUG,
        ),
        Claim(
            "S4.10",
            "edit distance ranks pairs by the fall of the chosen response less well "
            "than CHES does (effect: |rho(CHES)| - |rho(edit)|, one step of DPO)",
            "S", 0.1, "T", paper="2410.08847",
        ),
        Claim(
            "S4.11a",
            "slope of the penalty: inside the sigmoid at most beta (1 + lam), fading "
            "with the margin; outside at least lam however far the pair is apart",
            "X", 1e-12, "D",
        ),
        Claim(
            "S4.11b",
            "at lam 50 the penalty outside raises chosen and rejected more than inside "
            "(nats)",
            "H", 0.1, "U", matching_rule=RATE, paper=SMAUG,
        ),
        Claim(
            "S4.12",
            "at policy = reference the first update depends on the tie rule by up to a "
            "factor 51; unequal weights can lower the margin if and only if "
            "cos > 2 sqrt(1 + lam) / (2 + lam)",
            "X", 1e-12, "D",
        ),
        Claim(
            "S4.13",
            "control: DPO-Positive with its penalty's sign mirrored ends with the "
            "chosen response lower than the right one (nats)",
            "S", 0.5, "D", matching_rule=RATE,
        ),
    )
}  # fmt: skip
