"""Any peft method, selected by its `peft_type` and configured by the fields of its config class."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_type_hints

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.core.method import Card, Method, Range, Rate
from hf_peft_compare.core.settings import parse
from hf_peft_compare.core.training_rule import TrainingRule
from hf_peft_compare.methods.lora_cards import lora_variant
from hf_peft_compare.methods.lora_starts import TEXTS, check_built, check_saved
from hf_peft_compare.methods.peft_adjustments import adjust, with_values
from hf_peft_compare.methods.peft_cards import CARDS
from hf_peft_compare.methods.peft_rates import INITS, RATES, rate_of
from hf_peft_compare.methods.peft_rules import LATER, NEEDS_VALUES, check_supported, rule_of

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

S = TypeVar("S")
ALL_LINEAR = "all-linear"
IMPORTING = {"megatron_config", "megatron_core"}  # fields that make peft import a module, which a study must not
NAMES_OF_MODULES = ("target_modules", "modules_to_save", "feedforward_modules", "exclude_modules")


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="allow"))
class PeftSettings:
    """A peft type; all other keys are fields of that type's config class in peft.

    Args:
        peft_type: a name of `peft.PeftType`, e.g. "IA3", "PREFIX_TUNING", "P_TUNING", "ADALORA".
    """

    peft_type: str


def peft_config(settings: PeftSettings, *, task_type: str = "CAUSAL_LM") -> Any:
    """Return peft's config for the settings; "auto" target modules are chosen by peft for the architecture.

    Args:
        task_type: peft's name of the head; a class head is trained and saved with the adapter.

    Raises:
        UserError: a peft type or key is unknown (the nearest valid one is named), or peft rejects a value.
    """
    from peft import PeftType
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    peft_type = settings.peft_type.upper()
    if peft_type not in PeftType.__members__:
        raise unknown("peft_type", settings.peft_type, PeftType.__members__)
    config_class = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType[peft_type]]
    values = {key: value for key, value in _peft_fields(settings).items() if (key, value) != ("target_modules", "auto")}
    check_supported(peft_type, values, task_type)
    later = LATER.get(peft_type, {})
    valid = {f.name for f in fields(config_class) if f.init} - {"task_type", "peft_type", *later} - IMPORTING
    for key in values:
        if key not in valid:
            raise unknown(f"setting of peft's {config_class.__name__}", key, valid)
    values |= _typed(values, get_type_hints(config_class))
    try:
        config: Any = config_class(task_type=task_type, **later, **values)
    except Exception as error:  # each class checks its settings in its own way
        raise UserError(f"peft's {config_class.__name__} rejects the settings: {error}") from None
    if task_type == "SEQ_2_SEQ_LM" and peft_type in ("PROMPT_TUNING", "P_TUNING"):
        config.num_transformer_submodules = 1  # the encoder alone reads the prompt; peft would train one more, unread
    if values.get("init_lora_weights") in TEXTS:
        config.init_lora_weights = True  # until train texts are there
    if config.is_prompt_learning and (config.num_virtual_tokens or 0) < 1:
        raise UserError(f"num_virtual_tokens is {config.num_virtual_tokens}; expected a number above 0, such as 20.")
    return config


def _typed(values: Mapping[str, object], types: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as the types that peft declares; null may be of any type, and peft checks its named choices.

    Raises:
        UserError: a value is not of its type.
    """
    chosen = {key for key, value in values.items() if isinstance(value, str) and "Literal" in str(types[key])}
    checked = {key: types[key] for key, value in values.items() if value is not None and key not in chosen}
    given: object = parse(make_dataclass("Given", checked.items()), {key: values[key] for key in checked}, where="peft")
    return vars(given)


def build_peft(base: PreTrainedModel, settings: PeftSettings) -> PeftModel:
    """Return the base in a `PeftModel` with a trainable adapter; "all-linear" spares its whole head.

    Raises:
        UserError: peft rejects the settings, e.g. target modules that do not exist.
    """
    from hf_peft_compare.models.heads import peft_task_type

    return build_from(base, peft_config(settings, task_type=peft_task_type(base)))


def build_from(base: PreTrainedModel, config: Any) -> PeftModel:
    """Return the base in a `PeftModel` by peft's own config; raise UserError as `build_peft` does."""
    from peft import get_peft_model

    if getattr(config, "target_modules", None) == ALL_LINEAR:
        config.target_modules = _below_head(base)
    _check_targets(config, base)
    if base.config.is_encoder_decoder:
        _check_apart(config, base)
    linear = _linear_layers(base)
    try:
        adapt = with_values(get_peft_model) if config.peft_type.value in NEEDS_VALUES else get_peft_model
        model = adapt(base, config)
    except Exception as error:  # each type refuses what it does not support in its own way
        cause = f"{type(error).__name__}: {error} {linear}"
        raise UserError(f"peft cannot adapt this model with these settings: {cause}") from None
    check_built(model)
    return adjust(model)


def _check_targets(config: object, base: PreTrainedModel) -> None:
    """Raise UserError if the model lacks a module that the settings name; peft would silently skip it."""
    names = [name for name, _ in base.named_modules()]
    for key in NAMES_OF_MODULES:
        targets = getattr(config, key, None)
        if targets is None or isinstance(targets, str):
            continue
        missing = [t for t in targets if not any(name == t or name.endswith(f".{t}") for name in names)]
        if missing:
            listed = ", ".join(map(repr, sorted(missing)))
            raise UserError(f"{key} {listed} not found in the model. {_linear_layers(base)}")


def _check_apart(config: Any, base: PreTrainedModel) -> None:
    """Raise UserError for a peft type that an encoder-decoder cannot have, or not one of these widths."""
    kind, own = config.peft_type.value, base.config
    if kind == "SHADOW":
        raise UserError(
            "SHADOW's small network has its labels in the columns of the text that it reads, and an encoder-decoder "
            "has them apart; choose another peft type."
        )
    prepends = kind in ("PREFIX_TUNING", "CARTRIDGE") and hasattr(own, "d_kv")
    if prepends and own.d_kv * own.num_heads != own.d_model:
        raise UserError(
            f"{kind} prepends keys and values of d_model / num_heads numbers, {own.d_model} / {own.num_heads}, but the "
            f"base's have d_kv, {own.d_kv}; choose another peft type, or a base in which they agree."
        )


def _below_head(base: PreTrainedModel) -> set[str]:
    """Return the names of the linear layers below the head.

    peft itself takes a class head of two modules (DistilBERT's) in part for a layer of the base, and fails.
    """
    below, lm_head = set(base.base_model.modules()), base.get_output_embeddings()
    return {name for name, layer in _linear(base) if layer in below and layer is not lm_head}


def _linear_layers(base: PreTrainedModel) -> str:
    names = {name.rsplit(".", 1)[-1] for name, _ in _linear(base)}
    return f"The model's linear layers: {', '.join(sorted(names))}."


def _linear(base: PreTrainedModel) -> Iterator[tuple[str, nn.Module]]:
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    yield from (named for named in base.named_modules() if isinstance(named[1], (Linear, Conv1D)))


def _peft_fields(settings: PeftSettings) -> dict[str, Any]:
    return {key: value for key, value in vars(settings).items() if key != "peft_type" and not key.startswith("__")}


def merge_peft(model: PeftModel) -> PreTrainedModel:
    """Return a plain transformers model with the adapter merged.

    Raises:
        UserError: the peft type, or this model's, cannot be merged.
    """
    name = model.active_peft_config.peft_type.value
    refused = f"{name} cannot be merged into a plain model; export it as an adapter (without --merge)."
    if model.active_peft_config.is_prompt_learning or not hasattr(model.base_model, "merge_and_unload"):
        raise UserError(refused)
    try:
        return model.merge_and_unload()
    except (NotImplementedError, ValueError) as error:  # some types say so when asked
        raise UserError(f"{refused} {error}") from None


def adapter_config(name: str) -> Any:
    """Return peft's config of a saved adapter; None if there is none.

    Args:
        name: a folder or hub id.

    Raises:
        UserError: it makes peft import a module.
    """
    from peft import PeftConfig

    try:
        config: Any = PeftConfig.from_pretrained(name)
    except ValueError:  # peft's error where no config is found
        return None
    if imported := sorted(key for key in IMPORTING if getattr(config, key, None) not in (None, "megatron.core")):
        raise UserError(f"the adapter in {name} sets {', '.join(imported)}, which imports a module. Remove it.")
    check_saved(config, name)
    return config


def load_adapter(base: PreTrainedModel, name: str, *, is_trainable: bool = False) -> PeftModel:
    """Return the base with a saved adapter.

    Raises:
        UserError: there is none, or it imports a module.
        UserWarning: it lacks tensors.
    """
    from peft import PeftModel

    if (config := adapter_config(name)) is None:
        raise UserError(f"there is no adapter in {name}; expected a folder or hub id that peft can load.")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing adapter keys")  # which would stay random
        if not config.is_prompt_learning:
            return adjust(PeftModel.from_pretrained(base, name, is_trainable=is_trainable))
        model = PeftModel.from_pretrained(base, name)  # peft itself refuses to make it trainable
    model.prompt_encoder.requires_grad_(is_trainable)
    return adjust(model)


class PeftBased(Method[S]):
    """A method whose adapter is saved, loaded and merged by peft."""

    mergeable = True

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the adapter in peft's format."""
        cast("PeftModel", model).save_pretrained(str(folder))

    def load(self, base: PreTrainedModel, folder: Path, settings: S) -> nn.Module:
        """Return the base with the saved adapter; raise UserError if it imports a module, or lacks tensors."""
        return load_adapter(base, str(folder))

    def merge(self, model: nn.Module) -> PreTrainedModel:
        """Return a plain transformers model with the adapter merged; raise UserError if its type cannot be merged."""
        return merge_peft(cast("PeftModel", model))


class Peft(PeftBased[PeftSettings]):
    """Any peft method."""

    name = "peft"
    title = "peft"
    card = Card(
        idea="A method of the peft library, chosen by its peft_type and set by the fields of its config class.",
        formula=r"f_{\theta, \phi}(x), \quad \phi \text{ trained}, \ \theta \text{ frozen}",
        parameter_count="as the peft type has it",
        when_to_use="To compare what peft offers without writing code: IA3, DoRA, prefix tuning, P-tuning and others.",
        paper="Mangrulkar et al. (2022), PEFT: State-of-the-art Parameter-Efficient Fine-Tuning methods",
        url="https://github.com/huggingface/peft",
    )
    settings = PeftSettings
    # For types of which no rate is known; `tune` finds one.
    training_defaults = {"learning_rate": 1e-3}
    tunables = {"training.learning_rate": Range(low=1e-4, high=1e-1)}
    rates = {
        **{f"{{peft_type: {kind}}}": rate for kind, rate in RATES.items()},
        **{f"{{peft_type: LORA, init_lora_weights: {init}}}": rate for init, rate in INITS.items()},
    }

    def variant(self, settings: PeftSettings) -> tuple[str, Card] | None:
        """Return the title and card of a well-known peft type; None for others."""
        if settings.peft_type.upper() == "LORA":
            from hf_peft_compare.methods.lora import Lora  # which imports this module

            return lora_variant(_peft_fields(settings)) or (Lora.title, Lora.card)
        return CARDS.get(settings.peft_type.upper())

    def rate(self, settings: Mapping[str, object]) -> Rate | None:
        """Return the default learning rate of a known peft type; None for others."""
        return rate_of(settings)

    def build(self, base: PreTrainedModel, settings: PeftSettings, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
        """Return the base as a `PeftModel`; raise UserError as `build_peft` does."""
        return build_peft(base, settings)

    def training_rule(self, settings: PeftSettings) -> TrainingRule | None:
        """Return what the peft type's training needs beside gradients."""
        return rule_of(settings.peft_type.upper(), _peft_fields(settings))

    def num_virtual_tokens(self, settings: PeftSettings) -> int:
        """Return the number of virtual tokens of prompt learning; 0 for other types."""
        return peft_config(settings).num_virtual_tokens if "num_virtual_tokens" in _peft_fields(settings) else 0
