"""Names under which public implementations differ: placement, averaging, smoothing."""

import jax.numpy as jnp

from docs.conventions import Row, Topic, dpop_with, ipo_per_changed_token, torch_clamp

PLACEMENT: tuple[Topic, ...] = (
    Topic(
        "IPO: sum or average",
        "tau = 0.1, so the margin is regressed on 5.",
        (
            Row(
                "summed log-ratios (Eq. 17)",
                "ipo",
                "eric-mitchell f8b8c0f, OpenRLHF 3c3be62, oat c1a074c, "
                "turbo-alignment 72e737d, SamPO 25e9631",
            ),
            Row(
                "log-ratios averaged over tokens",
                "averaged_ipo",
                "TRL 1.16, LLaMA-Factory ff6d4d1, EasyDeL, mlx-lm-lora dfaaaed",
            ),
            Row(
                "averaged over tokens whose log-ratio isn't 0",
                ipo_per_changed_token,
                "HALOs 4831988",
            ),
        ),
    ),
    Topic(
        "DPOP: where the penalty stands",
        "beta = 0.1, lambda = 50.",
        (
            Row(
                "inside the sigmoid, inside the beta bracket (v2, Eq. 3)",
                "dpop(beta=0.1)",
                "turbo-alignment 72e737d, oat c1a074c, SamPO 25e9631, "
                "Understand_MarginPO 32d0edb",
            ),
            Row(
                "outside the sigmoid",
                "dpop_outside(beta=0.1)",
                "mlx-lm-lora dfaaaed, copies of a snippet derived from v1",
            ),
            Row(
                "inside the sigmoid, not scaled by beta",
                "dpop_inside_nobeta(beta=0.1)",
                "secondary notes",
            ),
        ),
    ),
    Topic(
        "DPO with a label smoothing of 0.1",
        "beta = 0.1.",
        (
            Row(
                "conservative DPO",
                "cdpo(label_smoothing=0.1)",
                "eric-mitchell f8b8c0f, OpenRLHF 3c3be62, oat c1a074c, "
                "HALOs 4831988 `cdpo`, turbo-alignment 72e737d",
            ),
            Row("robust DPO", "robust_dpo(label_smoothing=0.1)", "TRL 1.16 `robust`"),
            Row("ignored", "dpo", "TRL 1.16 `sigmoid`"),
        ),
    ),
    Topic(
        "SimPO: a margin of 0.5",
        "beta = 2.",
        (
            Row(
                "gamma, outside beta",
                "simpo(gamma=0.5)",
                "LLaMA-Factory ff6d4d1, torchtune, TRL 1.16 with `cpo_alpha=0`",
            ),
            Row(
                "gamma / beta",
                "simpo(gamma_beta_ratio=0.5)",
                "SimPO 1b3e8f3, HALOs 4831988, oat c1a074c, open-instruct e6c3044, "
                "turbo-alignment 72e737d (which calls it gamma)",
            ),
            Row(
                "gamma, plus a likelihood term",
                "simpo(gamma=0.5) + mle(reduction=batch)",
                "TRL 1.16 with its default `cpo_alpha=1`",
            ),
        ),
    ),
    Topic(
        "CPO: the likelihood term",
        "beta = 0.1, alpha = 1. For one pair the batch's token mean is the pair's.",
        (
            Row("batch token mean", "cpo(nll_reduction=batch)", "TRL 1.16"),
            Row(
                "summed",
                "cpo(nll_reduction=sum)",
                "turbo-alignment 72e737d with `norm=False`",
            ),
            Row(
                "summed, and DPO's log-ratios inside the sigmoid",
                "dpo + mle",
                "turbo-alignment 72e737d with its default `norm=True`",
            ),
        ),
    ),
    Topic(
        "Likelihood of the chosen",
        "For one pair the batch's token mean is the pair's.",
        (
            Row("summed", "mle", "RPO handbook branch d0389c4, turbo-alignment CPO"),
            Row(
                "token mean of the sequence",
                "mle(reduction=mean)",
                "LLaMA-Factory ff6d4d1, oat c1a074c, SamPO 25e9631",
            ),
            Row(
                "token mean of the batch",
                "mle(reduction=batch)",
                "TRL 1.16 `sft`, OpenRLHF 3c3be62",
            ),
        ),
    ),
    Topic(
        "ORPO: lambda",
        "TRL also averages the likelihood over prompt tokens, which no pair shows.",
        (
            Row("0.1", "orpo(lam=0.1)", "LLaMA-Factory ff6d4d1"),
            Row("1", "orpo(lam=1.0)", "turbo-alignment 72e737d"),
        ),
    ),
    Topic(
        "Averaged DPO: the reference and beta",
        "",
        (
            Row(
                "reference averaged, beta = 5",
                "averaged_dpo(beta=5.0)",
                "Tulu 3 configuration; open-instruct e6c3044 `dpo_norm`",
            ),
            Row(
                "reference averaged, beta = 0.1",
                "averaged_dpo(beta=0.1)",
                "TRL 1.16 `sigmoid_norm` at TRL's shared default beta",
            ),
            Row(
                "reference summed, beta = 5",
                "averaged_dpo(beta=5.0, reference_averaged=False)",
                "none found; the other reading of arXiv:2406.19188",
            ),
        ),
    ),
)

# DPOP, beta = 0.3 and lambda = 50, at policy = reference: on the kink of its hinge.
KINKS: tuple[Row, ...] = (
    Row(
        "`jax.nn.relu`, `where(x > 0, x, 0)`",
        "dpop",
        "here; Understand_MarginPO 32d0edb, turbo-alignment 72e737d, oat c1a074c",
    ),
    Row(
        "`jnp.maximum`, `torch.maximum`",
        dpop_with(lambda x: jnp.maximum(x, 0.0)),
        "SamPO 25e9631",
    ),
    Row("`torch.clamp(min=0)`", dpop_with(torch_clamp), "other copies"),
)
