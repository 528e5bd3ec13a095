"""Titles and cards of LoRA's variants."""

from __future__ import annotations

from collections.abc import Mapping

from hf_peft_compare.core.method import Card
from hf_peft_compare.methods.lora_starts import by_start

DORA = (
    "DoRA",
    Card(
        idea=(
            "Each column of a weight is a length times a direction: LoRA changes the direction, and the lengths are "
            "trained beside it, as full fine-tuning changes both."
        ),
        formula=r"m \odot \frac{W + B A}{\lVert W + B A \rVert_c} x, \quad m, A, B \text{ trained}",
        parameter_count="LoRA's, and one number per output of each adapted matrix",
        when_to_use=(
            "At small ranks, where LoRA falls behind full fine-tuning; it is merged as LoRA is. Steps take longer and "
            "more memory, since each needs the lengths of the whole matrix."
        ),
        paper="Liu et al. (2024), DoRA: Weight-Decomposed Low-Rank Adaptation",
        url="https://arxiv.org/abs/2402.09353",
    ),
)
RSLORA = (
    "rsLoRA",
    Card(
        idea="LoRA whose update is scaled by alpha over the root of its rank, so that higher ranks do not learn less.",
        formula=r"W x + \frac{\alpha}{\sqrt{r}} B A x, \quad A, B \text{ trained}",
        parameter_count="LoRA's",
        when_to_use="At ranks of 64 and more, which LoRA's own scaling keeps from learning more than small ones.",
        paper="Kalajdzievski (2023), A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA",
        url="https://arxiv.org/abs/2312.03732",
    ),
)
PISSA = (
    "PiSSA",
    Card(
        idea=(
            "LoRA that starts from the weight's r strongest singular directions instead of zero; what is left of the "
            "weight is frozen. So what matters most is trained, and not a new direction beside it."
        ),
        formula=r"(W - B_0 A_0) x + B A x, \quad B_0 A_0 \text{ the best approximation of rank } r \text{ of } W",
        parameter_count="LoRA's",
        when_to_use=(
            "Short trainings, where LoRA's start at zero costs steps. It takes a rate about ten times lower than "
            "LoRA's, and a singular value decomposition of each matrix before it starts."
        ),
        paper="Meng et al. (2024), PiSSA: Principal Singular Values and Singular Vectors Adaptation",
        url="https://arxiv.org/abs/2404.02948",
    ),
)
CORDA = (
    "CorDA",
    Card(
        idea=(
            "LoRA that starts from the directions of a weight which matter most for the train texts: those of W C, "
            "with C the covariance of what the layer reads; what is left of the weight is frozen. With corda_method "
            "kpm it starts from those that matter least, and what the texts need stays as it is."
        ),
        formula=r"(W - B_0 A_0) x + B A x, \quad B_0 A_0 = U_r S_r V_r^\top C^{-1}, \ W C = U S V^\top",
        parameter_count="LoRA's",
        when_to_use=(
            "Short trainings, as PiSSA, at as low a rate. Before it starts, up to 256 train texts are read, and each "
            "layer has a matrix of its input width squared in memory."
        ),
        paper="Yang et al. (2024), CorDA: Context-Oriented Decomposition Adaptation of Large Language Models",
        url="https://arxiv.org/abs/2406.05223",
    ),
)
LORAGA = (
    "LoRA-GA",
    Card(
        idea=(
            "LoRA that starts along the strongest directions of the gradient of each weight, so that its first steps "
            "go where those of full fine-tuning go; the start is taken out of the weight, which is frozen."
        ),
        formula=r"(W - B_0 A_0) x + B A x, \quad \nabla_W = U S V^\top, \ A_0 = V_{1:r}^\top, \ B_0 \propto U_{r+1:2r}",
        parameter_count="LoRA's",
        when_to_use=(
            "Short trainings, where LoRA's start at zero costs steps. Before it starts, up to 128 train texts are "
            "learned from once, and each adapted weight has a gradient in memory, as in full fine-tuning."
        ),
        paper="Wang et al. (2024), LoRA-GA: Low-Rank Adaptation with Gradient Approximation",
        url="https://arxiv.org/abs/2407.05000",
    ),
)
BY_START = {"corda": CORDA, "lora_ga": LORAGA, "pissa": PISSA}
LORAPLUS = (
    "LoRA+",
    Card(
        idea="LoRA whose B, which starts at zero, has a higher rate than A, so that both learn alike in wide models.",
        formula=r"\eta_B = \lambda \, \eta_A, \quad \lambda \gg 1",
        parameter_count="LoRA's",
        when_to_use="On tasks far from pretraining; on easy ones it changes little. It costs nothing.",
        paper="Hayou et al. (2024), LoRA+: Efficient Low Rank Adaptation of Large Models",
        url="https://arxiv.org/abs/2402.12354",
    ),
)
LORAFA = (
    "LoRA-FA",
    Card(
        idea=(
            "Only B is trained; A stays at its random values. B's gradient is corrected so that the step comes nearest "
            "to that of full fine-tuning which the frozen A allows."
        ),
        formula=r"W x + \frac{\alpha}{r} B A x, \quad B \text{ trained}, \ A \text{ frozen}",
        parameter_count="r × d per adapted d × k matrix: about half of LoRA's",
        when_to_use="When activations fill the memory: those of the layers' inputs need not be kept for A.",
        paper="Zhang et al. (2023), LoRA-FA: Memory-Efficient Low-Rank Adaptation for Large Language Models",
        url="https://arxiv.org/abs/2308.03303",
    ),
)
RIEMANNIAN = (
    "LoRA (Riemannian)",
    Card(
        idea=(
            "The gradients of A and B are each multiplied by an r × r matrix of the other, so that steps do not depend "
            "on how the product is split into factors."
        ),
        formula=(
            r"\nabla_A \to (B^\top B + \delta I)^{-1} \nabla_A, \quad \nabla_B \to \nabla_B (A A^\top + \delta I)^{-1}"
        ),
        parameter_count="LoRA's",
        when_to_use="Where LoRA is sensitive to its learning rate; the correction costs next to nothing.",
        paper="Zhang and Pilanci (2024), Riemannian Preconditioned LoRA for Fine-Tuning Foundation Models",
        url="https://arxiv.org/abs/2402.02347",
    ),
)
INT8 = (
    "LoRA on 8 bits",
    Card(
        idea=(
            "QLoRA on a base whose weights are stored in 8 bits, as integers times a scale per output. Inputs are "
            "rounded to 8 bits too, token by token, but for the few columns with large numbers, which are multiplied "
            "in 16 bits (LLM.int8())."
        ),
        formula=r"s_x s_W \odot (W_8 x_8) + \frac{\alpha}{r} B A x, \quad W_8, x_8 \in \{-127, \dots, 127\}",
        parameter_count="LoRA's; the base takes 8 bits per weight",
        when_to_use=(
            "When a base fits in 8 bits and must stay nearer to the plain model than 4 bits keep it: twice QLoRA's "
            "memory for the weights, at slower steps. A score may depend a little on the other texts of its batch. "
            "Rates are LoRA's, mostly from 1e-4 to 1e-3."
        ),
        paper="Dettmers et al. (2022), LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale",
        url="https://arxiv.org/abs/2208.07339",
    ),
)
BY_OPTIMIZER = {"loraplus": LORAPLUS, "lorafa": LORAFA, "riemannian": RIEMANNIAN}
VARIANTS = {
    "{method: qlora, bits: 8}": INT8,
    "use_dora: true": DORA,
    "use_rslora: true": RSLORA,
    **{f"{{peft_type: LORA, init_lora_weights: {start}}}": card for start, card in BY_START.items()},
    **{f"optimizer: {name}": card for name, card in BY_OPTIMIZER.items()},
}


def lora_variant(settings: Mapping[str, object]) -> tuple[str, Card] | None:
    """Return title and card of the variant that LoRA's settings choose, the one that changes most; None: plain LoRA."""
    if settings.get("use_dora"):
        return DORA
    if (started := by_start(settings, BY_START)) is not None:
        return started
    if (optimizer := settings.get("optimizer")) is not None:
        return BY_OPTIMIZER[str(optimizer)]
    return RSLORA if settings.get("use_rslora") else None
