"""The factory: from a run's config to tokenizer, model and `TrainingArguments`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, TrainingArguments

from hf_peft_compare.config import EMBEDDED, Protocol, RunConfig
from hf_peft_compare.entries import get_method, get_task
from hf_peft_compare.errors import UserError
from hf_peft_compare.heads import head_of
from hf_peft_compare.hub import explain
from hf_peft_compare.positions import count_positions_from_mask
from hf_peft_compare.processes import on_cpu, process_state
from hf_peft_compare.quantisation import check_installed, keep_layout, loading_arguments, quantization_of
from hf_peft_compare.trunk import accept_trunk_states, find_trunk, keep_in_evaluation

# Reentrant checkpointing loses the gradients of what is trained above a frozen base.
NON_REENTRANT = {"use_reentrant": False}
# Training settings that `TrainingArguments` does not have, or has under other names.
OURS = {
    "train_batch_size",
    "eval_batch_size",
    "early_stopping_patience",
    "bf16",
    "warmup_ratio",
    "packing",
    "trunk_cache",
    "trunk_cache_max_bytes",
}


@dataclass(frozen=True, kw_only=True)
class Built:
    """What one run trains with: the tokenizer, the model with its method applied, the Trainer's arguments."""

    tokenizer: Any
    model: Any
    arguments: TrainingArguments


def build(config: RunConfig, *, output_dir: Path, micro_batch_divisor: int = 1) -> Built:
    """Build one run's tokenizer, model and `TrainingArguments`; the seed is set before anything is built.

    Args:
        config: the resolved run.
        output_dir: where the Trainer puts its checkpoints.
        micro_batch_divisor: 2, 4, … after CUDA ran out of memory: smaller micro-batches, the same effective batch.

    Raises:
        UserError: a model or tokenizer that cannot be had, or settings that they do not allow.
    """
    tokenizer = load_tokenizer(config)
    base = seeded_base(config, tokenizer)
    transformers.set_seed(config.seed)  # the same initial adapters whatever loading drew before
    model = apply_method(base, config, tokenizer)
    arguments = training_arguments(config, output_dir=output_dir, micro_batch_divisor=micro_batch_divisor)
    return Built(tokenizer=tokenizer, model=model, arguments=arguments)


def seeded_base(config: RunConfig, tokenizer: Any) -> PreTrainedModel:
    """Load a run's base, ready for its method; weights that are drawn are those of the run's seed."""
    transformers.set_seed(config.seed)
    base = load_base(config)
    prepare_base(base, tokenizer)
    return base


def prepare_base(base: PreTrainedModel, tokenizer: Any) -> None:
    """Let positions follow from the mask, and name the loss and the padding."""
    if tokenizer.padding_side == "left":  # padding on the right never moved a position
        count_positions_from_mask(base)
    if base.get_output_embeddings() is None:
        base.config.pad_token_id = tokenizer.pad_token_id  # by which a class head on a decoder finds the last token
    # It is what transformers takes where a class name such as GPT-2's tells no loss, with a warning in each forward
    # pass, which would break a compiled graph.
    base.loss_type = base.loss_type or "ForCausalLM"


def apply_method(base: PreTrainedModel, config: RunConfig, tokenizer: Any) -> Any:
    """Apply the run's method to a base model; trainable parameters are float32 whatever the base is."""
    method = get_method(config.method["name"])
    if method.build is None:
        return base.requires_grad_(False)
    if config.num_validation_samples == 0:
        raise UserError(
            f"num_validation_samples is 0, but {config.row} trains, and its best state is chosen by validation."
        )
    if config.training.gradient_checkpointing:  # before the method, which may have to refuse it
        base.gradient_checkpointing_enable(NON_REENTRANT)
    model = method.build(base, config.method_settings, tokenizer)
    if (trunk := find_trunk(model)) is not None:
        keep_in_evaluation(trunk)
        accept_trunk_states(trunk)
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()
    return model


def model_path(config: Protocol) -> str:
    """Give the hub id or folder of the base model."""
    if config.model_name_or_path == EMBEDDED:
        from hf_peft_compare.embedded import BASE_FOLDER

        return str(BASE_FOLDER)
    return config.model_name_or_path


def load_tokenizer(config: Protocol) -> Any:
    """Load the tokenizer, with eos as padding where it has none.

    It pads on the left, so that what is predicted from stands at the right end; on the right for the class heads of
    encoders, which read the first token, and for heads that find their place by the mask.

    Raises:
        UserError: it cannot be had, or has no pad or eos token where one is needed.
    """
    name = config.tokenizer_name_or_path or model_path(config)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=config.model_revision)
    except Exception as error:  # transformers raises many kinds; each is about what the user gave
        raise UserError(explain("model", name, error)) from None
    head = head_of(config)
    if tokenizer.eos_token_id is None and (head.generates or tokenizer.pad_token_id is None):
        has = "a pad token only" if tokenizer.pad_token_id is not None else "neither a pad nor an eos token"
        raise UserError(
            f"the tokenizer of {name} has {has}; the end of a completion needs one. Set eos_token in its "
            f"tokenizer_config.json, or another tokenizer_name_or_path."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    decoder = head.generates or tokenizer.cls_token_id is None
    tokenizer.padding_side = "left" if decoder and not head.pads_right else "right"
    return tokenizer


def architecture_fields(config: Protocol) -> dict[str, Any]:
    """Give the fields over the base model's config: the study's `architecture`, its attention, the classes' names.

    Raises:
        UserError: an attention that cannot train or evaluate here, or no classes for a head that tells them.
    """
    return {**config.architecture, **_attention(config), **_classes(config)}


def _classes(config: Protocol) -> dict[str, Any]:
    task = get_task(config.task["name"])
    if head_of(config).generates:
        return {}
    if task.labels is None:
        raise UserError(f"a class head stands on the base, but task {task.name} has no classes; choose another method.")
    labels = list(task.labels(config.task_settings))
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    return {"num_labels": len(labels), **names}


def load_architecture(config: Protocol) -> Any:
    """Load the base model's config, with the run's own fields over it.

    Raises:
        UserError: it cannot be had, or has a class head of other classes.
    """
    fields = architecture_fields(config)
    model_type = fields.pop("model_type", None)
    if config.init == "config" and model_type is not None:
        return AutoConfig.for_model(model_type, **fields)
    try:
        saved = AutoConfig.from_pretrained(model_path(config), revision=config.model_revision)
        architecture = AutoConfig.from_pretrained(model_path(config), revision=config.model_revision, **fields)
    except Exception as error:
        raise UserError(explain("model", model_path(config), error)) from None
    if "id2label" in fields and config.init == "pretrained":
        _check_classes(config, saved, fields["id2label"])
    return architecture


def _check_classes(config: Protocol, saved: Any, names: dict[int, str]) -> None:
    """Refuse to lay a study's classes over a checkpoint whose class head was trained for a different number of them."""
    trained = any("ForSequenceClassification" in name for name in saved.architectures or [])
    if trained and saved.num_labels != len(names):
        raise UserError(
            f"{config.model_name_or_path} has a class head of {saved.num_labels} classes "
            f"({', '.join(map(str, saved.id2label.values()))}), task.labels has {len(names)} "
            f"({', '.join(names.values())}). List the model's classes, or choose a base without a class head."
        )


def _attention(config: Protocol) -> dict[str, str]:
    """Give the config field of the attention that a study asks for; nothing where transformers may choose.

    Raises:
        UserError: one that cannot train or evaluate here.
    """
    name = config.attn_implementation
    if name is None:
        return {}
    if "flash" in name:
        raise UserError(f"{_asked_for(config)}, which needs half precision, but evaluation is in float32; set sdpa.")
    if name == "flex_attention" and on_cpu():
        raise UserError(f"{_asked_for(config)}, which cannot train on a CPU; set sdpa, or leave it out.")
    return {"attn_implementation": name}


def _asked_for(config: Protocol) -> str:
    return f"attn_implementation is {config.attn_implementation!r}"


def load_base(config: Protocol) -> PreTrainedModel:
    """Load the base model in float32, or quantised where the run's method wants it so.

    Where `init` is "config", it is built with random weights.

    Raises:
        UserError: it cannot be had, or does not have the attention that the study asks for.
    """
    if config.attn_implementation is not None:
        base_on_meta(config)  # before any weights are read
    architecture = load_architecture(config)
    if config.init == "config":
        return random_base(config, architecture)
    try:
        base = head_of(config).auto_class.from_pretrained(
            model_path(config), config=architecture, revision=config.model_revision, **_loading(config, architecture)
        )
    except UserError:
        raise
    except Exception as error:
        raise UserError(explain("model", model_path(config), error)) from None
    keep_layout(base)
    return base


def random_base(config: Protocol, architecture: Any) -> PreTrainedModel:
    """Build a base model with random weights, which are quantised where the run's method wants it so."""
    base = head_of(config).auto_class.from_config(architecture, dtype=torch.float32)
    if quantization_of(config) is not None:
        weights, loading = base.state_dict(), _loading(config, architecture)
        base = type(base).from_pretrained(None, config=architecture, state_dict=weights, **loading)
        keep_layout(base)
    return base


def _loading(config: Protocol, architecture: Any) -> dict[str, Any]:
    """Give the arguments by which weights are loaded: float32, or quantised."""
    quantization = quantization_of(config)
    if quantization is None:
        return {"dtype": torch.float32}
    check_installed(config)
    with torch.device("meta"):
        on_meta = head_of(config).auto_class.from_config(architecture, dtype=torch.float32)
    return {"dtype": torch.float32, **loading_arguments(quantization, on_meta)}


def base_on_meta(config: Protocol) -> PreTrainedModel:
    """Build the base model's architecture on the meta device.

    Raises:
        UserError: it does not have the attention that the study asks for.
    """
    architecture = load_architecture(config)
    try:
        with torch.device("meta"):
            return head_of(config).auto_class.from_config(architecture, dtype=torch.float32)
    except (ImportError, ValueError) as error:
        if config.attn_implementation is None:
            raise
        reason = str(error).split(". ")[0]
        raise UserError(f"{_asked_for(config)}: {reason}. Set sdpa or eager, or leave it out.") from None


def training_arguments(config: RunConfig, *, output_dir: Path, micro_batch_divisor: int = 1) -> TrainingArguments:
    """Translate a run's training settings into `TrainingArguments`.

    Raises:
        UserError: the effective batch does not divide into processes times accumulation steps, or transformers
            refuses a value.
    """
    settings = asdict(config.training)
    for ours in OURS:
        settings.pop(ours)
    cuda = torch.cuda.is_available()
    if settings["dataloader_num_workers"] is None:
        settings["dataloader_num_workers"] = 2 if cuda else 0
    if not settings["gradient_checkpointing"]:
        del settings["gradient_checkpointing"]  # newer releases warn of the name alone
    accumulation = config.training.gradient_accumulation_steps * micro_batch_divisor
    try:
        arguments = TrainingArguments(
            output_dir=str(output_dir),
            **settings
            | {
                "gradient_accumulation_steps": accumulation,
                "per_device_train_batch_size": micro_batch_size(
                    config, accumulation=accumulation, num_processes=process_state().num_processes
                ),
                "per_device_eval_batch_size": max(config.training.eval_batch_size // micro_batch_divisor, 1),
                "warmup_steps": config.training.warmup_ratio,  # below 1 it is a ratio
            },
            bf16=use_bf16(config),
            use_cpu=on_cpu(),
            seed=config.seed,
            data_seed=config.seed,
            label_names=["labels"],
            remove_unused_columns=False,
            metric_for_best_model="nats_per_label",
            greater_is_better=False,
            save_strategy=config.training.eval_strategy,
            save_steps=config.training.eval_steps,
            save_total_limit=2,
            logging_strategy="steps",
            logging_nan_inf_filter=False,  # a loss that is not a number must be seen
            restore_callback_states_from_checkpoint=True,
            ddp_find_unused_parameters=False,
            gradient_checkpointing_kwargs=NON_REENTRANT if config.training.gradient_checkpointing else None,
            dataloader_pin_memory=cuda,
            dataloader_persistent_workers=settings["dataloader_num_workers"] > 0,
            accelerator_config={"non_blocking": cuda},  # from pinned memory the host need not wait for a copy
            report_to="none",
            disable_tqdm=True,
        )
    except ValueError as error:  # an optimizer or a schedule that transformers does not know
        raise UserError(f"training settings of {config.row}: {' '.join(str(error).split())}") from None
    if arguments.n_gpu > 1:  # one process is one device here; the Trainer would split batches over all that it sees
        arguments._n_gpu = 1
    return arguments


def micro_batch_size(config: RunConfig, *, accumulation: int, num_processes: int) -> int:
    """Divide the effective batch by processes and accumulation steps.

    Raises:
        UserError: it does not divide.
    """
    size, rest = divmod(config.training.train_batch_size, num_processes * accumulation)
    if rest or not size:
        raise UserError(
            f"training.train_batch_size is {config.training.train_batch_size}; it must divide by {num_processes} "
            f"process(es) × {accumulation} gradient accumulation step(s). Change one of them."
        )
    return size


def use_bf16(config: RunConfig) -> bool:
    """Say whether the run trains in bf16: as set, or else where the GPU has it."""
    if config.training.bf16 is not None:
        return config.training.bf16
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
