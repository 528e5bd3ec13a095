"""Titles and cards of well-known peft methods, by peft_type; all others use the card of the library."""

from __future__ import annotations

from hf_peft_compare.core.method import Card

CARDS = {
    "PROMPT_TUNING": (
        "Prompt tuning (peft)",
        Card(
            idea="Vectors in front of every input are trained and the model is frozen, in the implementation of peft.",
            formula=r"p_\theta(y \mid [Z; E(x)]), \quad Z \in \mathbb{R}^{P \times H} \text{ trained}",
            parameter_count="P × H: virtual tokens times hidden size",
            when_to_use="To compare with the package's own prompt tuning, whose scores do not depend on padding.",
            paper="Lester et al. (2021), The Power of Scale for Parameter-Efficient Prompt Tuning",
            url="https://arxiv.org/abs/2104.08691",
        ),
    ),
    "P_TUNING": (
        "P-tuning",
        Card(
            idea=(
                "The soft prompt is not trained itself: a small network computes it from P trained vectors, so that "
                "its tokens depend on one another and move together. Once trained, only what the network gives is kept."
            ),
            formula=r"p_\theta(y \mid [g_\phi(Z); E(x)]), \quad Z, \phi \text{ trained}",
            parameter_count=(
                "P × H for the vectors, and the network's: 2 × H × E + E × E weights and 2 × E + H biases for an MLP "
                "of width E"
            ),
            when_to_use=(
                "Where plain prompt tuning is unstable, mostly on language understanding with smaller models. It needs "
                "a learning rate far above that of full fine-tuning; at a rate of 2e-5 it stays at chance."
            ),
            paper="Liu et al. (2021), GPT Understands, Too",
            url="https://arxiv.org/abs/2103.10385",
            theory=(
                "A soft prompt is P free vectors, and each step moves each of them by itself. As the output of one "
                "network they share its weights, so a step for one token moves all: a reparameterization, which "
                "changes how training gets there and not what can be reached, since any P vectors can be the "
                "network's output (Liu et al. 2021). It stands in the input layer alone: it can steer what attention "
                "reads, but adds nothing that the frozen layers cannot already compute (Petrov et al. 2024), and it "
                "is weaker than prompts in every layer for smaller models and hard labelling tasks (Liu et al. 2022)."
            ),
        ),
    ),
    "PREFIX_TUNING": (
        "Prefix tuning",
        Card(
            idea=(
                "Every attention layer gets P further keys and values, which are trained; no input is longer for it, "
                "but each token may attend to them. Unlike a soft prompt it acts in each layer, not in the first alone."
            ),
            formula=r"\mathrm{Att}(x W_q, [K_\phi; x W_k], [V_\phi; x W_v]), \quad K_\phi, V_\phi \text{ trained}",
            parameter_count="2 × L × P × the width of keys: keys and values of every layer",
            when_to_use="Generation, where a soft prompt is too weak and the model's own weights must not be touched.",
            paper="Li and Liang (2021), Prefix-Tuning: Optimizing Continuous Prompts for Generation",
            url="https://arxiv.org/abs/2101.00190",
        ),
    ),
    "IA3": (
        "IA3",
        Card(
            idea=(
                "Keys, values and the inner activations of the feed-forward layers are scaled, number by number, by "
                "vectors that start at one and are trained."
            ),
            formula=r"\ell \odot (W x), \quad \ell \text{ trained}, \ W \text{ frozen}",
            parameter_count="one number per output of keys and values, and per input of the last feed-forward layer",
            when_to_use=(
                "Few examples, and the smallest adapters that still act in every layer. It can strengthen and weaken "
                "what the model has, not mix it anew; it takes a high learning rate."
            ),
            paper="Liu et al. (2022), Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than "
            "In-Context Learning",
            url="https://arxiv.org/abs/2205.05638",
        ),
    ),
    "ADALORA": (
        "AdaLoRA",
        Card(
            idea=(
                "LoRA in the form of a singular value decomposition: while it trains, singular values that matter "
                "little are set to zero, so that the ranks go to the matrices that need them."
            ),
            formula=r"W x + P \Lambda Q x, \quad P, Q \text{ nearly orthogonal}, \ \Lambda \text{ diagonal}",
            parameter_count="r × (d + k + 1) per adapted d × k matrix at the initial rank r",
            when_to_use="When the budget of parameters is fixed, steps are many, and which layers matter is not known.",
            paper="Zhang et al. (2023), Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning",
            url="https://arxiv.org/abs/2303.10512",
        ),
    ),
    "VERA": (
        "VeRA",
        Card(
            idea=(
                "The two thin matrices of LoRA are random, frozen and shared by all layers; only two vectors per "
                "layer, which scale their rows, are trained."
            ),
            formula=r"W x + \Lambda_b B \Lambda_d A x, \quad \Lambda_b, \Lambda_d \text{ diagonal and trained}",
            parameter_count="r + d per adapted d × k matrix",
            when_to_use="When thousands of adapters must be stored: a tenth of LoRA's size or less, at a larger rank.",
            paper="Kopiczko et al. (2024), VeRA: Vector-based Random Matrix Adaptation",
            url="https://arxiv.org/abs/2310.11454",
        ),
    ),
    "OFT": (
        "OFT",
        Card(
            idea=(
                "Each weight is multiplied by an orthogonal matrix of small blocks: its neurons turn together, so that "
                "the angles between them, and with them much of what was pretrained, are kept."
            ),
            formula=r"(R W) x, \quad R = \mathrm{diag}(R_1, \dots, R_n), \ R_i^\top R_i = I",
            parameter_count="b × (b − 1) / 2 per block of b × b",
            when_to_use="When the model must forget little, at more arithmetic per step than LoRA.",
            paper="Qiu et al. (2023), Controlling Text-to-Image Diffusion by Orthogonal Finetuning",
            url="https://arxiv.org/abs/2306.07280",
        ),
    ),
    "BOFT": (
        "BOFT",
        Card(
            idea=(
                "OFT whose orthogonal matrix is a product of sparse ones, as in a fast Fourier transform: every input "
                "can turn into every output, with few parameters."
            ),
            formula=r"(R_m \cdots R_1 W) x, \quad R_i \text{ orthogonal, of blocks in a butterfly's order}",
            parameter_count="m × (d / b) × b × (b − 1) / 2 for m factors of b × b blocks",
            when_to_use="As OFT, where blocks alone are too narrow; its steps are slower still.",
            paper="Liu et al. (2024), Parameter-Efficient Orthogonal Finetuning via Butterfly Factorization",
            url="https://arxiv.org/abs/2311.06243",
        ),
    ),
    "BEFT": (
        "BEFT",
        Card(
            idea="Only biases are trained, of one projection of each attention layer: by default those of the values.",
            formula=r"W_v x + b, \quad b \text{ trained}",
            parameter_count="H per layer",
            when_to_use="With very few examples, as the smallest change that reaches every layer.",
            paper="Huang et al. (2025), BEFT: Bias-Efficient Fine-Tuning of Language Models",
            url="https://arxiv.org/abs/2509.15974",
        ),
    ),
    "LN_TUNING": (
        "LayerNorm tuning",
        Card(
            idea="Only the gains and biases of the normalization layers are trained.",
            formula=r"\gamma \odot \frac{x - \mu}{\sigma} + \beta, \quad \gamma, \beta \text{ trained}",
            parameter_count="2 × H per LayerNorm, H per RMSNorm",
            when_to_use="As the cheapest change that reaches every layer, and a floor for the other adapters.",
            paper="Zhao et al. (2023), Tuning LayerNorm in Attention: Towards Efficient Multi-Modal LLM Finetuning",
            url="https://arxiv.org/abs/2312.11420",
        ),
    ),
}
