"""Names under which public implementations differ: references, weights, scales."""

from docs.conventions import Row, Topic

SCALES: tuple[Topic, ...] = (
    Topic(
        "LD-DPO: the reference",
        "beta = 0.1, alpha = 0.5.",
        (
            Row("weighted like the policy", "lddpo", "TRL 0.29 and later"),
            Row(
                "not weighted",
                "lddpo(weight_reference=False)",
                "TRL 0.18 to 0.28, LLaMA-Factory ff6d4d1",
            ),
        ),
    ),
    Topic(
        "R-DPO: alpha",
        "beta = 0.1. The sign is plus in all.",
        (
            Row("0.01", "rdpo(alpha=0.01)", "SamPO 25e9631, its script"),
            Row("0.1", "rdpo(alpha=0.1)", "SamPO 25e9631, its code"),
            Row("0.2", "rdpo(alpha=0.2)", "Understand_MarginPO 32d0edb"),
        ),
    ),
    Topic(
        "WPO: the weight of the pair",
        "beta = 0.1; the product of both sides' likelihoods is 1.33 here.",
        (
            Row("at most 1", "wpo(beta=0.1)", "WPO a1044581"),
            Row(
                "not capped",
                "wpo(beta=0.1, clamp=False)",
                "TRL 1.16 `use_weighting`",
            ),
        ),
    ),
    Topic(
        "RPO: the likelihood term",
        "",
        (
            Row(
                "summed, beta eta = 5e-5, beta = 0.01",
                "rpo",
                "the authors' handbook branch d0389c4",
            ),
            Row(
                "token mean times 0.2, beta = 0.5",
                "dpo_mle(beta=0.5, weight=0.2)",
                "the authors' OpenRLHF branch d0389c4",
            ),
            Row(
                "batch token mean times 0.005, beta = 0.01",
                "dpo_mle(beta=0.01, weight=0.005, reduction=batch)",
                "TRL 1.16 recipe, at the first row's beta",
            ),
        ),
    ),
    Topic(
        "Cal-DPO: the weight of the squares",
        "beta = 0.1, targets of plus and minus 5.",
        (
            Row("1/2", "cal_dpo(beta=0.1)", "Cal-DPO 7d16b46"),
            Row(
                "1",
                "cal_dpo(beta=0.1, calibration_weight=1.0)",
                "turbo-alignment 72e737d",
            ),
        ),
    ),
    Topic(
        "f-DPO: an alpha-divergence of 0.3",
        "beta = 0.1.",
        (
            Row(
                "alpha in u^(-alpha)",
                "f_dpo(divergence=alpha, alpha=0.3)",
                "older TRL, DPO-Shift 52eebac",
            ),
            Row(
                "c = 1 - alpha in t^(c-1)",
                "f_dpo(divergence=alpha, alpha=0.7)",
                "TRL 1.16",
            ),
        ),
    ),
    Topic(
        "BCO: the reward shift",
        "beta = 0.1.",
        (
            Row("none", "bco_pair", "TRL 1.16, NCA cbb9248 `biasedNCA`"),
            Row(
                "batch mean, the first step of a running mean",
                "bco_pair(baseline=batch_mean)",
                "older TRL, SamPO 25e9631, LLaMA-Factory ff6d4d1",
            ),
        ),
    ),
    Topic(
        "SLiC: two losses of one name",
        "",
        (
            Row(
                "hinge on DPO's log-ratios, beta = 0.1",
                "hinge",
                "TRL 1.16 `hinge`, oat c1a074c `SLiC`, SPIN a12ba80",
            ),
            Row(
                "hinge on log-probabilities plus likelihood",
                "slic",
                "the paper; HALOs 4831988 `slic` in intent",
            ),
        ),
    ),
    Topic(
        "SPPO: beta",
        "The targets are plus and minus 1 / (2 beta).",
        (
            Row("0.001", "sppo_hard", "the paper, by the TRL documentation"),
            Row(
                "0.1",
                "sppo_hard(beta=0.1)",
                "TRL 1.16 at its shared default beta",
            ),
        ),
    ),
    Topic(
        "KTO on pairs",
        "beta = 0.1, one mismatched log-ratio of 0.4.",
        (
            Row("z0 from mismatched pairs", "kto", "TRL 1.16, HALOs 4831988"),
            Row(
                "the other side's batch mean",
                "kto_pair",
                "turbo-alignment 72e737d `kto`, SamPO 25e9631 `kto_pair`",
            ),
        ),
    ),
    Topic(
        "GSIL: scale and shift",
        "Bernoulli kind. A shift moves the optimum to -shift / scale nats.",
        (
            Row("0.01 and 0", "gsil", "the default here"),
            Row(
                "0.01 and 2",
                "gsil(shift=2.0)",
                "GSIL bf269e0, its script",
            ),
            Row(
                "0.1 and 0.1",
                "gsil(scale=0.1, shift=0.1)",
                "GSIL bf269e0, its trainer's defaults",
            ),
        ),
    ),
    Topic(
        "ExMATE: the reduction",
        "lambda = 0.05. For one pair the batch form is the mean form.",
        (
            Row(
                "batch token means",
                "exmate(reduction=batch)",
                "CausalDialogue 0c2ea26",
            ),
            Row("sequence means", "exmate", "none found; inferred"),
            Row("sums", "exmate(reduction=sum)", "none found; inferred"),
            Row("token by token", "exmate(reduction=token)", "none found; inferred"),
        ),
    ),
)
