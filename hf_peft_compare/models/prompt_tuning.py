"""PromptTuningModel: a frozen language model or classifier with a trainable soft prompt before every text.

Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning" (arXiv 2104.08691).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MODEL_FOR_MASKED_LM_MAPPING, GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.utils import SAFE_WEIGHTS_NAME

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.position_ids import positions_from_mask
from hf_peft_compare.models.heads import class_head, peft_task_type

WEIGHTS_FILE = "adapter_model.safetensors"
WEIGHTS_KEY, HEAD_PREFIX = "prompt_embeddings", "base_model."  # the names used in peft's files


class PromptTuningModel(PreTrainedModel, GenerationMixin):
    """A language model that reads a soft prompt [P, H] before each text; only the prompt is trained.

    It works with the standard `transformers.Trainer`, generates with and without a cache, and computes positions from
    the attention mask, so that padding on either side never changes a logit. It is saved and loaded in the format of
    peft's prompt tuning.

    A base with a class head works too; the head is trained and saved with the prompt. The head consists of the
    parameters outside the backbone: a pooler within the backbone was pretrained with it and stays frozen, as in peft.
    In an encoder, the prompt follows the first token, [CLS] or <s>, whose state represents the text, as in pretraining.
    peft puts the prompt before that token, so that its head reads a virtual token: it loads the files saved for an
    encoder, but predicts other classes. Of an encoder-decoder the encoder alone reads the prompt, as in the paper.

    Args:
        base: a causal LM, an encoder-decoder, or a model with a class head; its other parameters are frozen.
        prompt: the initial soft prompt [P, H], float32.
        peft_fields: `prompt_tuning_init`, `prompt_tuning_init_text` and `tokenizer_name_or_path` for the saved config,
            as in peft.
    """

    base: Any  # its forward arguments depend on the head, and it may generate
    base_model_prefix = "base"
    supports_gradient_checkpointing = True
    # The wrapped model has chosen its attention already; transformers checks the class of the wrapper.
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, base: PreTrainedModel, prompt: Tensor, **peft_fields: Any):
        super().__init__(base.config)
        width = base.get_input_embeddings().embedding_dim
        if prompt.ndim != 2 or prompt.shape[1] != width:
            raise UserError(f"the soft prompt has shape {tuple(prompt.shape)}; expected [num_virtual_tokens, {width}].")
        self.base = base.requires_grad_(False)
        for parameter in class_head(base).values():
            parameter.requires_grad_(True)
        self.prompt_embeddings = nn.Parameter(prompt.detach().clone().float().to(base.device))
        self.generation_config: Any = getattr(base, "generation_config", None)
        self.peft_fields = peft_fields

    @property
    def num_virtual_tokens(self) -> int:
        """P, the length of the soft prompt."""
        return self.prompt_embeddings.shape[0]

    @property
    def num_tokens_before(self) -> int:
        """The number of tokens before the prompt: 1 in an encoder (its first token), otherwise 0."""
        return int(self.get_output_embeddings() is None and type(self.base.config) in MODEL_FOR_MASKED_LM_MAPPING)

    def get_base_model(self) -> Any:
        """Return the base model, as peft's models do."""
        return self.base

    def get_input_embeddings(self) -> nn.Module:
        """Return the base model's token embeddings [V, H]."""
        return self.base.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        """Return the base model's LM head; None: it has a class head."""
        return self.base.get_output_embeddings()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> Any:
        """Run the base model on prompt and text.

        Args:
            input_ids: [B, T], or instead `inputs_embeds` [B, T, H].
            attention_mask: [B, T] of the text only (with a cache: of all the text so far).
            position_ids: ignored, since they are computed from the attention mask.
            labels: [B, K], K at most T: labels of the last K columns, -100 where nothing is scored. The first column
                is never scored, as in every causal LM of transformers. With a class head: [B]. Of an encoder-decoder
                the labels of its decoder, of any number, and all of them are scored.
            logits_to_keep: number of last columns with logits; 0: all, which is P + T, or K with labels.
            kwargs: other arguments of the base, such as an encoder's `token_type_ids` [B, T], or `encoder_outputs` in
                place of a text, computed with the prompt.

        Returns:
            The base model's own output, including its loss.
        """
        tokens = input_ids if inputs_embeds is None else inputs_embeds
        if self.base.config.is_encoder_decoder:
            return self._read_apart(tokens, attention_mask, past_key_values=past_key_values, labels=labels, **kwargs)
        if tokens is None:
            raise UserError("PromptTuningModel got neither input_ids nor inputs_embeds; pass one of them.")
        if self.get_output_embeddings() is None:
            return self._classify(tokens, attention_mask, labels=labels, **kwargs)
        batch_size, num_tokens = tokens.shape[:2]
        cache = past_key_values if past_key_values is not None and past_key_values.is_initialized else None
        if attention_mask is None:
            num_seen = int(cache.get_seq_length()) - self.num_virtual_tokens if cache is not None else 0
            attention_mask = torch.ones(batch_size, num_seen + num_tokens, dtype=torch.long, device=tokens.device)
        attention_mask = nn.functional.pad(attention_mask, (self.num_virtual_tokens, 0), value=1)  # [B, P + T]
        if cache is not None:  # the prompt is in the cache already
            inputs: dict[str, Any] = {"input_ids": input_ids, "inputs_embeds": inputs_embeds}
        else:
            inputs = {"inputs_embeds": self._with_prompt(input_ids, inputs_embeds)}
            num_tokens += self.num_virtual_tokens
        if labels is not None:
            logits_to_keep = logits_to_keep or labels.shape[1]
        return self.base(
            **inputs,
            attention_mask=attention_mask,
            position_ids=positions_from_mask(attention_mask, num_tokens),
            past_key_values=past_key_values,
            labels=labels,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )

    def _classify(
        self, tokens: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """Run a base with a class head on prompt and text.

        Padding is moved to the side that the head does not read: a decoder's head reads the last column of embeddings,
        even if it is padding; an encoder's head reads the first, from which the encoder counts positions itself.
        """
        before = self.num_tokens_before
        inputs, order = self._arranged(tokens, attention_mask, padding_last=before > 0)
        if before == 0:
            kwargs["position_ids"] = positions_from_mask(inputs["attention_mask"], inputs["attention_mask"].shape[1])
        if token_type_ids is not None:
            types = token_type_ids.gather(1, order)
            kwargs["token_type_ids"] = _inserted(types.new_zeros(len(types), self.num_virtual_tokens), types, before)
        return self.base(**inputs, **kwargs)

    def _read_apart(self, tokens: Tensor | None, attention_mask: Tensor | None, **kwargs: Any) -> Any:
        """Run an encoder-decoder on prompt and text, or its decoder on `encoder_outputs` of both."""
        if tokens is not None:
            kwargs |= self._arranged(tokens, attention_mask, padding_last=True)[0]
        elif attention_mask is not None:
            arranged = attention_mask.sort(dim=1, descending=True).values
            kwargs["attention_mask"] = nn.functional.pad(arranged, (self.num_virtual_tokens, 0), value=1)
        return self.base(**kwargs)

    def _arranged(
        self, tokens: Tensor, attention_mask: Tensor | None, *, padding_last: bool
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the inputs of prompt and text with padding on one side, and the order of the text's columns [B, T]."""
        if attention_mask is None:
            attention_mask = torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device)
        order = attention_mask.argsort(dim=1, descending=padding_last, stable=True)
        ones = attention_mask.new_ones(tokens.shape[0], self.num_virtual_tokens)
        mask = _inserted(ones, attention_mask.gather(1, order), self.num_tokens_before)  # [B, P + T]
        if tokens.is_floating_point():
            embeds = self._with_prompt(None, tokens.gather(1, order[:, :, None].expand_as(tokens)))
        else:
            embeds = self._with_prompt(tokens.gather(1, order), None)
        return {"inputs_embeds": embeds, "attention_mask": mask}, order

    def generate(  # type: ignore[override]
        self,
        inputs: Tensor | None = None,
        *,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **settings: Any,
    ) -> Any:
        """Generate with the base's own `generate`, from the embeddings of prompt and text, with any of its caches.

        The first step needs the embeddings of prompt and text, later steps the cache, so a cache is always used.

        Args:
            inputs, input_ids, attention_mask: [B, T] of the text only; or instead `inputs_embeds` [B, T, H].
            settings: arguments of the base's `generate`.

        Returns:
            The base's output: token ids of text and completion; with `inputs_embeds`, of the completion only.
        """
        input_ids = inputs if input_ids is None else input_ids
        if self.base.config.is_encoder_decoder:
            tokens: Any = input_ids if inputs_embeds is None else inputs_embeds
            return self.base.generate(**self._arranged(tokens, attention_mask, padding_last=True)[0], **settings)
        embeds = self._with_prompt(input_ids, inputs_embeds)  # [B, P + T, H]
        if attention_mask is None:
            attention_mask = embeds.new_ones(len(embeds), embeds.shape[1] - self.num_virtual_tokens, dtype=torch.long)
        order = self._padding_first(attention_mask)
        attention_mask = nn.functional.pad(attention_mask, (self.num_virtual_tokens, 0), value=1).gather(1, order)
        embeds = embeds.gather(1, order[:, :, None].expand_as(embeds))
        if input_ids is not None and settings.get("max_length") and not settings.get("max_new_tokens"):
            settings["max_new_tokens"] = (
                settings.pop("max_length") - input_ids.shape[1]
            )  # the base would subtract P + T
        return self.base.generate(input_ids, inputs_embeds=embeds, attention_mask=attention_mask, **settings)

    def _padding_first(self, attention_mask: Tensor) -> Tensor:
        """Return the column order of prompt and text, [B, P + T], that puts a row's left padding before its prompt.

        `generate` expects padding there, in order to exclude it from the repetition penalty.
        """
        num_virtual_tokens = self.num_virtual_tokens
        num_padding = (attention_mask.cumsum(dim=1) == 0).sum(dim=1, keepdim=True)  # [B, 1]
        column = torch.arange(num_virtual_tokens + attention_mask.shape[1], device=attention_mask.device)
        prompt_or_text = torch.where(column < num_padding + num_virtual_tokens, column - num_padding, column)
        return torch.where(column < num_padding, column + num_virtual_tokens, prompt_or_text)

    def _with_prompt(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        embeds = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds  # [B, T, H]
        prompt = self.prompt_embeddings.to(embeds.dtype).expand(embeds.shape[0], -1, -1)
        return _inserted(prompt, embeds, self.num_tokens_before)  # [B, P + T, H]

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:  # type: ignore[override]
        """Write prompt and class head as a peft prompt-tuning adapter, which `PeftModel.from_pretrained` reads."""
        from peft import PromptTuningConfig
        from safetensors.torch import save_file

        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        config = PromptTuningConfig(
            task_type=peft_task_type(self),
            num_virtual_tokens=self.num_virtual_tokens,
            token_dim=self.prompt_embeddings.shape[1],
            num_transformer_submodules=1,
            num_layers=getattr(self.config, "num_hidden_layers", None),
            num_attention_heads=getattr(self.config, "num_attention_heads", None),
            base_model_name_or_path=self.base.config._name_or_path or None,
            inference_mode=True,
            **self.peft_fields,
        )
        config.save_pretrained(str(folder))
        tuned = {name: p.detach().cpu().contiguous() for name, p in self._tuned().items()}
        save_file(tuned, folder / WEIGHTS_FILE, metadata={"format": "pt"})
        if "state_dict" in kwargs:  # a checkpoint of the stock Trainer, which resumes from a file of this name
            names = {HEAD_PREFIX + name: f"base.{name}" for name in class_head(self.base)}
            tuned = {names.get(name, name): tensor for name, tensor in tuned.items()}
            save_file(tuned, folder / SAFE_WEIGHTS_NAME, metadata={"format": "pt"})

    def _tuned(self) -> dict[str, nn.Parameter]:
        """Return the trained parameters by their names in peft's files."""
        head = {HEAD_PREFIX + name: parameter for name, parameter in class_head(self.base).items()}
        return {WEIGHTS_KEY: self.prompt_embeddings, **head}

    @classmethod
    def from_pretrained(cls, base: PreTrainedModel, folder: str | Path) -> PromptTuningModel:  # type: ignore[override]
        """Load a soft prompt saved by this class or by peft, and the class head trained with it, onto its base model.

        Raises:
            UserError: the folder holds no prompt-tuning adapter, or an adapter for another head.
        """
        from peft import PeftConfig
        from safetensors.torch import load_file

        folder = Path(folder)
        if not (folder / WEIGHTS_FILE).is_file():
            raise UserError(f"no {WEIGHTS_FILE} in {folder}; expected a folder of peft's prompt-tuning format.")
        weights = load_file(folder / WEIGHTS_FILE)
        if WEIGHTS_KEY not in weights:
            raise UserError(f"{folder / WEIGHTS_FILE} holds {', '.join(weights)}; expected {WEIGHTS_KEY}.")
        config = PeftConfig.from_pretrained(str(folder))
        noted = ("prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path")
        model = cls(base, weights[WEIGHTS_KEY], **{name: getattr(config, name) for name in noted})
        tuned = model._tuned()
        found, expected = ({name: tuple(t.shape) for name, t in tensors.items()} for tensors in (weights, tuned))
        if found != expected:
            raise UserError(f"{folder / WEIGHTS_FILE} holds {found}; {type(base).__name__} expects {expected}.")
        for name, parameter in tuned.items():
            parameter.data.copy_(weights[name])
        return model


def _inserted(prompt: Tensor, text: Tensor, column: int) -> Tensor:
    """Return the columns of a text [B, T, ...] with those of a prompt [B, P, ...] inserted: [B, P + T, ...]."""
    return torch.cat([text[:, :column], prompt, text[:, column:]], dim=1)
