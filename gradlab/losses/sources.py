"""The papers and the software behind the losses, by BibTeX key.

A key is author, year of the first version, and a word of the title. Authors beyond what
could be ascertained are "and others".
"""

from typing import NamedTuple


class Source(NamedTuple):
    """A paper, a book or a piece of software. The year stands in its key.

    Attributes:
      title: as published.
      authors: in BibTeX's form, "Last, First and Last, First".
      arxiv: identifier, or "" if it isn't on arXiv.
      venue: (BibTeX field, value) of a source that isn't on arXiv.
    """

    title: str
    authors: str
    arxiv: str = ""
    venue: tuple[str, str] = ("", "")


SOURCES: dict[str, Source] = {
    "azar2023general": Source(
        "A General Theoretical Paradigm to Understand Learning from Human Preferences",
        "Azar, Mohammad Gheshlaghi and Rowland, Mark and Piot, Bilal and Guo, Daniel "
        "and Calandriello, Daniele and Valko, Michal and Munos, R{\\'e}mi",
        "2310.12036",
    ),
    "bishop2006pattern": Source(
        "Pattern Recognition and Machine Learning",
        "Bishop, Christopher M.",
        venue=("publisher", "Springer"),
    ),
    "chen2024noise": Source(
        "Noise Contrastive Alignment of Language Models with Explicit Rewards",
        "Chen, Huayu and He, Guande and Yuan, Lifan and Cui, Ganqu and Su, Hang "
        "and Zhu, Jun",
        "2402.05369",
    ),
    "chen2024selfplay": Source(
        "Self-Play Fine-Tuning Converts Weak Language Models to Strong Language Models",
        "Chen, Zixiang and Deng, Yihe and Yuan, Huizhuo and Ji, Kaixuan "
        "and Gu, Quanquan",
        "2401.01335",
    ),
    "chen2024towards": Source(
        "Towards Improved Preference Optimization Pipeline: from Data Generation to "
        "Budget-Controlled Regularization",
        "Chen, Zhuotong and Liu, Fang and Zhu, Jennifer and Du, Wanyu and Qi, Yanjun",
        "2411.05875",
    ),
    "chowdhury2024provably": Source(
        "Provably Robust {DPO}: Aligning Language Models with Noisy Feedback",
        "Chowdhury, Sayak Ray and Kini, Anush and Natarajan, Nagarajan",
        "2403.00409",
    ),
    "doosterlinck2024anchored": Source(
        "Anchored Preference Optimization and Contrastive Revisions: Addressing "
        "Underspecification in Alignment",
        "D'Oosterlinck, Karel and Xu, Winnie and Develder, Chris "
        "and Demeester, Thomas and Singh, Amanpreet and Potts, Christopher "
        "and Kiela, Douwe and Mehri, Shikib",
        "2408.06266",
    ),
    "ethayarajh2024kto": Source(
        "{KTO}: Model Alignment as Prospect Theoretic Optimization",
        "Ethayarajh, Kawin and Xu, Winnie and Muennighoff, Niklas and Jurafsky, Dan "
        "and Kiela, Douwe",
        "2402.01306",
    ),
    "gulmez2025mlxlmlora": Source(
        "mlx-lm-lora",
        'G{\\"u}lmez, G{\\"o}kdeniz',
        venue=(
            "howpublished",
            "GitHub repository Goekdeniz-Guelmez/mlx-lm-lora, commit dfaaaed530d1",
        ),
    ),
    "gupta2025alphapo": Source(
        "{AlphaPO}: Reward Shape Matters for {LLM} Alignment",
        "Gupta, Aman and others",
        "2501.03884",
    ),
    "hong2024orpo": Source(
        "{ORPO}: Monolithic Preference Optimization without Reference Model",
        "Hong, Jiwoo and Lee, Noah and Thorne, James",
        "2403.07691",
    ),
    "ji2024towards": Source(
        "Towards Efficient Exact Optimization of Language Model Alignment",
        "Ji, Haozhe and Lu, Cheng and Niu, Yilin and Ke, Pei and Wang, Hongning "
        "and Zhu, Jun and Tang, Jie and Huang, Minlie",
        "2402.00856",
    ),
    "jung2024binary": Source(
        "Binary Classifier Optimization for Large Language Model Alignment",
        "Jung, Seungjae and Han, Gunsoo and Nam, Daniel Wontae and On, Kyoung-Woon",
        "2404.04656",
    ),
    "lambert2024tulu3": Source(
        '{T{\\"u}lu} 3: Pushing Frontiers in Open Language Model Post-Training',
        "Lambert, Nathan and others",
        "2411.15124",
    ),
    "liu2023statistical": Source(
        "Statistical Rejection Sampling Improves Preference Optimization",
        "Liu, Tianqi and Zhao, Yao and Joshi, Rishabh and Khalman, Misha "
        "and Saleh, Mohammad and Liu, Peter J. and Liu, Jialu",
        "2309.06657",
    ),
    "liu2024length": Source(
        "Length Desensitization in Direct Preference Optimization",
        "Liu, Wei and others",
        "2409.06411",
    ),
    "liu2024provably": Source(
        "Provably Mitigating Overoptimization in {RLHF}: Your {SFT} Loss is Implicitly "
        "an Adversarial Regularizer",
        "Liu, Zhihan and Lu, Miao and Zhang, Shenao and Liu, Boyi and Guo, Hongyi "
        "and Yang, Yingxiang and Blanchet, Jose and Wang, Zhaoran",
        "2405.16436",
    ),
    "lu2024discovering": Source(
        "Discovering Preference Optimization Algorithms with and for Large Language "
        "Models",
        "Lu, Chris and Holt, Samuel and Fanconi, Claudio and Chan, Alex J. "
        "and Foerster, Jakob and van der Schaar, Mihaela and Lange, Robert Tjarko",
        "2406.08414",
    ),
    "lu2024eliminating": Source(
        "Eliminating Biased Length Reliance of Direct Preference Optimization via "
        "Down-Sampled {KL} Divergence",
        "Lu, Junru and Li, Jiazheng and An, Siyu and Zhao, Meng and He, Yulan "
        "and Yin, Di and Sun, Xing",
        "2406.10957",
    ),
    "melnyk2024distributional": Source(
        "Distributional Preference Alignment of {LLM}s via Optimal Transport",
        "Melnyk, Igor and Mroueh, Youssef and Belgodere, Brian and Rigotti, Mattia "
        "and Nitsure, Apoorva and Yurochkin, Mikhail and Greenewald, Kristjan "
        "and Navratil, Jiri and Ross, Jerret",
        "2406.05882",
    ),
    "meng2024simpo": Source(
        "{SimPO}: Simple Preference Optimization with a Reference-Free Reward",
        "Meng, Yu and Xia, Mengzhou and Chen, Danqi",
        "2405.14734",
    ),
    "mitchell2023note": Source(
        "A note on {DPO} with noisy preferences \\& relationship to {IPO}",
        "Mitchell, Eric",
        venue=("howpublished", "Technical note"),
    ),
    "pal2024smaug": Source(
        "Smaug: Fixing Failure Modes of Preference Optimisation with {DPO}-Positive",
        "Pal, Arka and Karkhanis, Deep and Dooley, Samuel and Roberts, Manley "
        "and Naidu, Siddartha and White, Colin",
        "2402.13228",
    ),
    "pang2024iterative": Source(
        "Iterative Reasoning Preference Optimization",
        "Pang, Richard Yuanzhe and Yuan, Weizhe and Cho, Kyunghyun and He, He "
        "and Sukhbaatar, Sainbayar and Weston, Jason",
        "2404.19733",
    ),
    "park2024disentangling": Source(
        "Disentangling Length from Quality in Direct Preference Optimization",
        "Park, Ryan and Rafailov, Rafael and Ermon, Stefano and Finn, Chelsea",
        "2403.19159",
    ),
    "rafailov2023direct": Source(
        "Direct Preference Optimization: Your Language Model is Secretly a Reward "
        "Model",
        "Rafailov, Rafael and Sharma, Archit and Mitchell, Eric and Ermon, Stefano "
        "and Manning, Christopher D. and Finn, Chelsea",
        "2305.18290",
    ),
    "sun2025bpo": Source(
        "{BPO}: Revisiting Preference Modeling in Direct Preference Optimization",
        "Sun, Lin and Liu, Chuang and Liu, Peng and Li, Bingyang and Lu, Weijia "
        "and Wu, Ning",
        "2506.03557",
    ),
    "tuan2022causaldialogue": Source(
        "{CausalDialogue}: Modeling Utterance-level Causality in Conversations",
        "Tuan, Yi-Lin and Albalak, Alon and Xu, Wenda and Saxon, Michael "
        "and Pryor, Connor and Getoor, Lise and Wang, William Yang",
        "2212.10515",
    ),
    "tuan2024gradient": Source(
        "A Gradient Analysis Framework for Rewarding Good and Penalizing Bad Examples "
        "in Language Models",
        "Tuan, Yi-Lin and Wang, William Yang",
        "2408.16751",
    ),
    "wang2023beyond": Source(
        "Beyond Reverse {KL}: Generalizing Direct Preference Optimization with Diverse "
        "Divergence Constraints",
        "Wang, Chaoqi and Jiang, Yibo and Yang, Chenghao and Liu, Han and Chen, Yuxin",
        "2309.16240",
    ),
    "welleck2019neural": Source(
        "Neural Text Generation with Unlikelihood Training",
        "Welleck, Sean and Kulikov, Ilia and Roller, Stephen and Dinan, Emily "
        "and Cho, Kyunghyun and Weston, Jason",
        "1908.04319",
    ),
    "wu2024selfplay": Source(
        "Self-Play Preference Optimization for Language Model Alignment",
        "Wu, Yue and Sun, Zhiqing and Yuan, Huizhuo and Ji, Kaixuan "
        "and Yang, Yiming and Gu, Quanquan",
        "2405.00675",
    ),
    "xiao2024caldpo": Source(
        "{Cal-DPO}: Calibrated Direct Preference Optimization for Language Model "
        "Alignment",
        "Xiao, Teng and others",
        "2412.14516",
    ),
    "xiao2024leverage": Source(
        "How to Leverage Demonstration Data in Alignment for Large Language Model? A "
        "Self-Imitation Learning Perspective",
        "Xiao, Teng and others",
        "2410.10093",
    ),
    "xiao2025connection": Source(
        "On a Connection Between Imitation Learning and {RLHF}",
        "Xiao, Teng and others",
        "2503.05079",
    ),
    "xu2024contrastive": Source(
        "Contrastive Preference Optimization: Pushing the Boundaries of {LLM} "
        "Performance in Machine Translation",
        "Xu, Haoran and Sharaf, Amr and Chen, Yunmo and Tan, Weiting "
        "and Shen, Lingfeng and Van Durme, Benjamin and Murray, Kenton "
        "and Kim, Young Jin",
        "2401.08417",
    ),
    "yan2024properties": Source(
        "{3D}-Properties: Identifying Challenges in {DPO} and Charting a Path Forward",
        "Yan, Yuzi and Miao, Yibo and Li, Jialian and Zhang, Yipin and Xie, Jian "
        "and Deng, Zhijie and Yan, Dong",
        "2406.07327",
    ),
    "yang2025dposhift": Source(
        "{DPO-Shift}: Shifting the Distribution of Direct Preference Optimization",
        "Yang, Xiliang and others",
        "2502.07599",
    ),
    "zhao2023slichf": Source(
        "{SLiC-HF}: Sequence Likelihood Calibration with Human Feedback",
        "Zhao, Yao and Joshi, Rishabh and Liu, Tianqi and Khalman, Misha "
        "and Saleh, Mohammad and Liu, Peter J.",
        "2305.10425",
    ),
    "zhou2024wpo": Source(
        "{WPO}: Enhancing {RLHF} with Weighted Preference Optimization",
        "Zhou, Wenxuan and Agrawal, Ravi and Zhang, Shujian "
        "and Indurthi, Sathish Reddy and Zhao, Sanqiang and Song, Kaiqiang "
        "and Xu, Silei and Zhu, Chenguang",
        "2406.11827",
    ),
}
