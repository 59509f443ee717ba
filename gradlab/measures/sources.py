"""The papers behind the measures of `gradlab drift`, by BibTeX key."""

from gradlab.losses.sources import Source

SOURCES: dict[str, Source] = {
    "razin2024unintentional": Source(
        "Unintentional Unalignment: Likelihood Displacement in Direct Preference "
        "Optimization",
        "Razin, Noam and Malladi, Sadhika and Bhaskar, Adithya and Chen, Danqi and "
        "Arora, Sanjeev and Hanin, Boris",
        "2410.08847",
    ),
    "yuan2024common": Source(
        "A Common Pitfall of Margin-based Language Model Alignment: Gradient "
        "Entanglement",
        "Yuan, Hui and Zeng, Yifan and Wu, Yue and Wang, Huazheng and Wang, Mengdi and "
        "Leqi, Liu",
        "2410.13828",
    ),
}
# column of a summary -> where its measure comes from
MEASURED_BY = {
    "rho_ches": "razin2024unintentional",
    "rho_ln_ches": "razin2024unintentional",
    "both_fall": "yuan2024common",
}
