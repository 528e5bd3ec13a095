"""Where the first weights of LORA come from, if not from chance: the base's weights, or what it reads or learns.

All but EVA take the product they start with out of the base, so that the model starts as it was. An adapter saved like
that needs the changed base, which a second load does not have, or not to the same digits. So at the end of training it
becomes a plain LoRA for the untouched base: of twice the rank, whose second half takes the start away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.training_rule import TrainingRule
from hf_peft_compare.methods.peft_adjustments import config_of, widen

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")
Batches = Iterable[Mapping[str, Any]]

ADAPTER = "default"  # peft's name of the only one
# Starts for which train texts are read, and how many at most: peft's numbers in its examples.
TEXTS = {"corda": 256, "lora_ga": 128}
READ = ("input_ids", "attention_mask", "token_type_ids")


class ExplainedVariance(TrainingRule):
    """`init_lora_weights: eva`: first values from the principal components of what each layer reads.

    With `rho` above 1 in `eva_config`, as in peft's default, ranks move to the layers that have more to explain.
    """

    def prepare(self, model: nn.Module, batches: Batches) -> None:
        """Compute the components of the labeled tokens' inputs, or with a class head of all tokens'."""
        from peft import initialize_lora_eva_weights

        initialize_lora_eva_weights(model, [_readable(batch) for batch in batches], show_progress_bar=False)


class TakenFromBase(TrainingRule):
    """`init_lora_weights: pissa | olora`: the strongest directions of a weight, which peft takes out as it builds."""

    def prepare(self, model: nn.Module, batches: Batches) -> None:
        """Keep the start, (A0, B0) of each layer."""
        self.starts = {
            layer: [factor.weight.detach().clone() for factor in _factors(layer)] for layer in _layers(model)
        }

    def finish(self, model: nn.Module) -> str | None:
        """Restore the base's weights, and make the adapter B A - B0 A0, as one product at scale 1."""
        import torch

        config = config_of(model)
        for layer, start in self.starts.items():
            a, b = _factors(layer)
            trained, scale = (a.weight.data, b.weight.data), layer.scaling[ADAPTER]
            a.weight.data, b.weight.data = start
            base = layer.get_base_layer().weight
            base.data += layer.get_delta_weight(ADAPTER).to(base.dtype)
            a.weight.data = torch.cat([trained[0], start[0]])
            b.weight.data = scale * torch.cat([trained[1], -start[1]], dim=1)
            a.out_features = b.in_features = layer.r[ADAPTER] = layer.lora_alpha[ADAPTER] = 2 * layer.r[ADAPTER]
            layer.scaling[ADAPTER] = 1.0
        config.r = config.lora_alpha = 2 * config.r
        config.rank_pattern = config.alpha_pattern = {key: 2 * rank for key, rank in config.rank_pattern.items()}
        config.use_rslora, config.init_lora_weights = False, True
        config.corda_config = config.lora_ga_config = None
        return f"The adapter of rank {config.r // 2} is saved without its start, as a plain LoRA of rank {config.r}."


class Covariance(TakenFromBase):
    """`init_lora_weights: corda`: the directions of a weight that are the strongest, or weakest, for the train texts.

    They are the singular vectors of W C, with C the covariance of what the layer reads.
    """

    def prepare(self, model: nn.Module, batches: Batches) -> None:
        """Compute each layer's C, of every text's inputs over their greatest as in peft, and take the start out."""
        import torch
        from peft.tuners.lora.corda import collect_eigens_for_layer

        def add(base: nn.Module, read: tuple[Tensor, ...]) -> None:
            inputs = read[0].float().flatten(end_dim=-2)
            inputs = inputs / inputs.max().abs()
            sums[base] = sums.get(base, 0) + inputs.T @ inputs

        config, layers = config_of(model), _layers(model)
        sums: dict[nn.Module, Any] = {}
        texts = _texts(model, batches, TEXTS["corda"])
        handles = [layer.get_base_layer().register_forward_pre_hook(add) for layer in layers]
        with _as_it_was(model), torch.no_grad():
            for inputs in texts:
                model(**inputs)
            for handle in handles:
                handle.remove()
            for layer in layers:
                base, rank = layer.get_base_layer(), layer.r[ADAPTER]
                base.covariance_matrix = sums.pop(base) / len(texts)
                found = collect_eigens_for_layer(base, config)
                del base.covariance_matrix
                kept = slice(rank) if config.corda_config.corda_method == "ipm" else slice(-rank, None)
                device = base.weight.device
                found.S_WC, found.U_WC, found.V_WC = (
                    values[..., kept].to(device, copy=True) for values in (found.S_WC, found.U_WC, found.V_WC)
                )
                base.eigens = found
                layer.corda_init(ADAPTER, "corda")
        super().prepare(model, batches)


class Gradient(TakenFromBase):
    """`init_lora_weights: lora_ga`: the strongest directions of the gradient of the base's weight, over train texts.

    For as long, each adapted weight has a gradient: as much memory again as the weights take in 32 bits.
    """

    def prepare(self, model: nn.Module, batches: Batches) -> None:
        """Compute each layer's gradient, the mean over texts, and take the start out."""
        from peft import LoraGAConfig

        settings, layers = config_of(model).lora_ga_config or LoraGAConfig(), _layers(model, ranks=2)
        texts, bases = _texts(model, batches, TEXTS["lora_ga"]), [layer.get_base_layer() for layer in layers]
        with _as_it_was(model):
            for base in bases:
                base.weight.requires_grad_(True)
            for inputs in texts:
                model(**inputs).loss.backward()
            for layer, base in zip(layers, bases, strict=True):
                base._peft_loraga_grad = base.weight.grad / len(texts)
                base.weight.grad = None
                base.weight.requires_grad_(False)
                layer.lora_ga_init(ADAPTER, settings)
        super().prepare(model, batches)


STARTS: Mapping[str, type[TrainingRule]] = {
    "corda": Covariance,
    "eva": ExplainedVariance,
    "lora_ga": Gradient,
    "olora": TakenFromBase,
    "pissa": TakenFromBase,
}


def by_start(settings: Mapping[str, object], table: Mapping[str, T]) -> T | None:
    """Return LORA's entry of a table by the beginning of `init_lora_weights`; None: it has none."""
    init = str(settings.get("init_lora_weights"))
    return next((entry for start, entry in table.items() if init.startswith(start)), None)


def check_built(model: Any) -> None:
    """Raise UserError if peft took a start out of weights that are stored the other way round than it reads them."""
    if getattr(config_of(model), "init_lora_weights", None) == "olora" and any(
        x.fan_in_fan_out for x in _layers(model)
    ):
        raise UserError(
            "init_lora_weights is 'olora', which peft cannot compute for the transposed weights of this base (Conv1D); "
            "take 'pissa', 'corda' or 'lora_ga'."
        )


def check_saved(config: Any, name: str) -> None:
    """Raise UserError for a saved adapter without what it needs: the start that was taken out of its base."""
    init = str(getattr(config, "init_lora_weights", None))
    if init in ("corda", "lora_ga") or init.startswith("pissa_niter"):
        raise UserError(
            f"the adapter in {name} started with init_lora_weights {init!r}, and was saved without the changed base "
            f"that it needs; save it once more by save_pretrained with path_initial_model_for_weight_conversion."
        )


@contextmanager
def _as_it_was(model: Any) -> Iterator[None]:
    """Let the model read as the untouched base, without dropout."""
    training = model.training
    with model.eval().disable_adapter():
        yield
    model.train(training)


def _texts(model: Any, batches: Batches, most: int) -> list[dict[str, Any]]:
    """Return the inputs of the first texts, each alone and without padding, with labels, on the model's device."""

    def alone() -> Iterator[dict[str, Any]]:
        for batch in batches:
            labels, apart = batch["labels"], model.config.is_encoder_decoder
            if labels.ndim > 1 and not apart:
                labels = widen(labels, batch["input_ids"].shape[1])
            for row, read in enumerate(batch["attention_mask"].bool()):
                one = {name: batch[name][row][read] for name in READ if name in batch}
                one["labels"] = labels[row][labels[row] != -100 if apart else read] if labels.ndim > 1 else labels[row]
                yield {name: values[None].to(model.device) for name, values in one.items()}

    return list(islice(alone(), most))


def _readable(batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a batch as EVA reads it: tensors alone, and labels only where they are those of tokens."""
    read = {name: batch[name] for name in READ if name in batch}
    if batch["labels"].ndim > 1:
        read["labels"] = widen(batch["labels"], batch["input_ids"].shape[1])
    return read


def _layers(model: nn.Module, *, ranks: int = 1) -> list[Any]:
    """Return the adapted layers; raise UserError for a matrix that does not have so many times the rank."""
    from peft.tuners.lora import LoraLayer

    layers: dict[str, Any] = {name: m for name, m in model.named_modules() if isinstance(m, LoraLayer)}
    for name, layer in layers.items():
        least, rank = min(layer.get_base_layer().weight.shape), layer.r[ADAPTER]
        if least < ranks * rank:
            raise UserError(
                f"r is {rank} for {name}, whose smaller side is {least}, and this start takes {ranks * rank} of its "
                f"directions; lower r, or leave the layer out of target_modules."
            )
    return list(layers.values())


def _factors(layer: Any) -> tuple[Any, Any]:
    return layer.lora_A[ADAPTER], layer.lora_B[ADAPTER]
