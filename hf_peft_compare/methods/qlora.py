"""QLoRA, through peft and bitsandbytes."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import Field
from pydantic.dataclasses import dataclass

from hf_peft_compare.core.method import Card, Choices, Value
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.training_rule import TrainingRule
from hf_peft_compare.methods.lora import LoraSettings, build_lora, lora_rule
from hf_peft_compare.methods.lora_cards import INT8
from hf_peft_compare.methods.peft_method import PeftBased, merge_peft
from hf_peft_compare.methods.peft_rates import RATES

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True, config=STRICT)
class QLoraSettings(LoraSettings):
    """Settings of LoRA and of the quantized base, which are fields of `BitsAndBytesConfig`.

    Args:
        bits: 4, or 8: LLM.int8(), for which the `bnb_4bit_` settings do not count.
        llm_int8_threshold: in 8 bits, inputs that exceed this anywhere in a batch are multiplied in 16 bits, so that a
            score may depend on the other texts of the batch; 0: none are.
        bias: "none", since 4-bit layers cast their biases to the compute dtype.
        bnb_4bit_quant_type: the sixteen values that a weight can have, times the scale of its block; nf4: quantiles of
            a normal distribution.
        bnb_4bit_use_double_quant: quantize the scales too, which saves .37 bits per weight.
        bnb_4bit_compute_dtype: the dtype that weights are dequantized to for a product; "auto": bfloat16 on a GPU that
            supports it, otherwise float32.
    """

    bits: Literal[4, 8] = 4
    llm_int8_threshold: Annotated[float, Field(ge=0)] = 6.0
    bias: Literal["none"] = "none"
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    bnb_4bit_use_double_quant: bool = True
    bnb_4bit_compute_dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"


class QLora(PeftBased[QLoraSettings]):
    """QLoRA, through peft and bitsandbytes."""

    name = "qlora"
    title = "QLoRA"
    card = Card(
        idea=(
            "LoRA on a base whose weights are stored in 4 bits, as one of sixteen quantiles of a normal distribution "
            "(NF4) times a scale per 64 weights; the scales are quantized too. A weight is unpacked for each product, "
            "and gradients flow through it to the adapters, which are in float32. The head is not quantized."
        ),
        formula=(
            r"\mathrm{dequant}(W^{\mathrm{NF4}}) x + \frac{\alpha}{r} B A x, \quad "
            r"W^{\mathrm{NF4}} \text{ frozen}, \ A, B \text{ trained}"
        ),
        parameter_count="r × (d + k) per adapted d × k matrix, as LoRA; the base takes 4.13 bits per weight",
        when_to_use=(
            "When the base does not fit otherwise: an eighth of the memory of float32 for its linear layers, steps "
            "that are slower than LoRA's, and nearly its quality. Merging unpacks the base into a plain model of full "
            "size, whose outputs differ slightly by the type that 4-bit layers compute in."
        ),
        paper="Dettmers et al. (2023), QLoRA: Efficient Finetuning of Quantized LLMs",
        url="https://arxiv.org/abs/2305.14314",
        theory=(
            "Quantization replaces a number by the nearest of a few. Pretrained weights are near to normally "
            "distributed, so NF4 takes quantiles of that distribution, each of which is used about as often; a "
            "weight is off by at most .152 times the largest of its 64. A float32 scale per 64 weights costs .5 "
            "bits a weight, quantized again .127. The packed weights are constants of the forward and backward "
            "pass: gradients reach the adapters exactly, through the weights as they are rounded, and so the "
            "adapters also learn to make up for the rounding. In the paper that reaches 16-bit fine-tuning from 7 "
            "to 65 billion parameters, with adapters in all linear layers. What it saves is the memory of weights; "
            "activations and time per step it does not."
        ),
    )
    settings = QLoraSettings
    # Of 7 and 13 billion parameters in Dettmers et al. (2023), QLoRA; from 33 billion on they halve it.
    training_defaults = {"learning_rate": 2e-4}
    tunables = {"training.learning_rate": RATES["LORA"].range, "r": Choices(values=(4, 8, 16, 32))}

    def variant(self, settings: QLoraSettings) -> tuple[str, Card] | None:
        """Return title and card of a base in 8 bits; None: in 4."""
        return INT8 if settings.bits == 8 else None

    def quantization(self, settings: QLoraSettings) -> dict[str, Value]:
        """Return the fields of the base's quantization config, without an "auto" dtype (chosen on loading)."""
        if settings.bits == 8:
            threshold = settings.llm_int8_threshold
            return {"quant_method": "bitsandbytes", "load_in_8bit": True, "llm_int8_threshold": threshold}
        own = {key: value for key, value in asdict(settings).items() if key.startswith("bnb_") and value != "auto"}
        return {"quant_method": "bitsandbytes", "load_in_4bit": True, **own}

    def build(self, base: PreTrainedModel, settings: QLoraSettings, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
        """Return the frozen base, whose linear layers are already quantized, with low-rank adapters.

        Raises:
            UserError: no layer of the base can be quantized.
        """
        from hf_peft_compare.models.quantization import check_packable

        if settings.bits == 4:
            check_packable(base)
        return build_lora(base, LoraSettings(**{f.name: getattr(settings, f.name) for f in fields(LoraSettings)}))

    def training_rule(self, settings: QLoraSettings) -> TrainingRule | None:
        """Return the rule of the optimizer, if it is one of LoRA's own."""
        return lora_rule(settings)

    def merge(self, model: nn.Module) -> PreTrainedModel:
        """Return a plain float32 model: the base is dequantized, then the adapter is merged into it.

        peft's own merge quantizes the merged weights again, which loses part of what was learned.
        """
        from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

        from hf_peft_compare.models.quantization import unpack

        packed = cast("PeftModel", model)
        adapter, config = get_peft_model_state_dict(packed), packed.active_peft_config
        plain = get_peft_model(unpack(packed.unload()), config)
        set_peft_model_state_dict(plain, adapter)
        return merge_peft(plain)
