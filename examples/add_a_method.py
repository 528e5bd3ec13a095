"""A custom method: BitFit trains only the biases.

hf-peft-compare run quickstart --plugin add_a_method --set methods.bitfit={} --method bitfit --method lora
"""

from dataclasses import dataclass

from hf_peft_compare import Card, Method, Range


@dataclass(frozen=True)
class BitFitSettings:
    """Settings of BitFit.

    Args:
        norms: train the weights of normalization layers too, for models without biases.
    """

    norms: bool = False


class BitFit(Method[BitFitSettings]):
    name, title, settings, mergeable = "bitfit", "BitFit", BitFitSettings, True
    card = Card(
        idea="Only the biases are trained: a shift of every layer's output, and no new direction.",
        formula=r"y = W x + b, \quad b \text{ trained}, \ W \text{ frozen}",
        parameter_count="about 0.1 % of a transformer's",
        when_to_use="Where data is scarce and what is kept per task must be tiny; it learns less than LoRA.",
        paper="Ben Zaken et al. (2022), BitFit: Simple Parameter-efficient Fine-tuning for Masked Language-models",
        url="https://arxiv.org/abs/2106.10199",
    )
    training_defaults = {"learning_rate": 1e-3}
    tunables = {"training.learning_rate": Range(low=1e-4, high=1e-1)}

    def build(self, base, settings, tokenizer=None):
        from hf_peft_compare.models.frozen_trunk import head_modules

        for name, parameter in base.named_parameters():
            parameter.requires_grad = name.endswith("bias") or (settings.norms and "norm" in name.lower())
        if base.get_output_embeddings() is None:  # a class head is new, so all of it is trained
            for module in head_modules(base):
                module.requires_grad_(True)
        return base

    def save(self, model, folder):
        from hf_peft_compare.models.trainable_parameters import save_trainables

        save_trainables(model, folder / "bitfit.safetensors")

    def load(self, base, folder, settings):
        from hf_peft_compare.models.trainable_parameters import load_trainables

        model = self.build(base, settings)
        load_trainables(model, folder / "bitfit.safetensors")
        return model

    def merge(self, model):
        return model
