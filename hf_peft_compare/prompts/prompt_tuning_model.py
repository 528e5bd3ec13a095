"""PromptTuningModel: a frozen causal LM with a trainable soft prompt in front of every text.

Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning" (arXiv 2104.08691).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.utils import SAFE_WEIGHTS_NAME

from hf_peft_compare.errors import UserError
from hf_peft_compare.positions import positions_from_mask

WEIGHTS_FILE = "adapter_model.safetensors"
WEIGHTS_KEY = "prompt_embeddings"  # the name in peft's own files


class PromptTuningModel(PreTrainedModel, GenerationMixin):
    """A causal LM that reads a soft prompt [P, H] before each text; only the prompt is trained.

    It plugs into the standard `transformers.Trainer`, generates with and without a cache, and its positions come from
    the attention mask, so that padding on either side never changes a logit. Saved and loaded in the format of peft's
    prompt tuning.

    Args:
        base: a causal LM; its parameters are frozen.
        prompt: the initial soft prompt [P, H], float32.
        tokenizer_name_or_path, init, init_text: noted in the saved config, as peft does.
    """

    base_model_prefix = "base"
    supports_gradient_checkpointing = True
    # The wrapped model has chosen its attention already; transformers asks the class of the wrapper.
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, base: PreTrainedModel, prompt: Tensor, **peft_fields: Any):
        super().__init__(base.config)
        width = base.get_input_embeddings().embedding_dim
        if prompt.ndim != 2 or prompt.shape[1] != width:
            raise UserError(f"a soft prompt of shape {tuple(prompt.shape)}; expected [num_virtual_tokens, {width}].")
        self.base = base.requires_grad_(False)
        self.prompt_embeddings = nn.Parameter(prompt.detach().clone().float().to(base.device))
        self.generation_config = base.generation_config
        self.peft_fields = peft_fields

    @property
    def num_virtual_tokens(self) -> int:
        """P, the length of the soft prompt."""
        return self.prompt_embeddings.shape[0]

    def get_input_embeddings(self) -> nn.Module:
        """Give the base model's token embeddings [V, H]."""
        return self.base.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        """Give the base model's LM head."""
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
        """Run the base on prompt and text.

        Args:
            input_ids: [B, T], or `inputs_embeds` [B, T, H] in its place.
            attention_mask: [B, T] of the text alone (with a cache: of all the text so far).
            position_ids: ignored, since they follow from the attention mask.
            labels: [B, K], K at most T: labels of the last K columns, -100 where nothing is scored. The first column
                is never scored, as in every causal LM of transformers.
            logits_to_keep: how many of the last columns get logits; 0: all, which is P + T, or K with labels.

        Returns:
            The base model's own output, its loss included.
        """
        tokens = input_ids if inputs_embeds is None else inputs_embeds
        if tokens is None:
            raise UserError("PromptTuningModel got neither input_ids nor inputs_embeds; give one of them.")
        batch_size, num_tokens = tokens.shape[:2]
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        if attention_mask is None:
            num_seen = max(past - self.num_virtual_tokens, 0)
            attention_mask = torch.ones(batch_size, num_seen + num_tokens, dtype=torch.long, device=tokens.device)
        attention_mask = nn.functional.pad(attention_mask, (self.num_virtual_tokens, 0), value=1)  # [B, P + T]
        if past:  # the prompt stands in the cache already
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

    def _with_prompt(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        embeds = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds  # [B, T, H]
        prompt = self.prompt_embeddings.to(embeds.dtype).expand(embeds.shape[0], -1, -1)
        return torch.cat([prompt, embeds], dim=1)  # [B, P + T, H]

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:  # type: ignore[override]
        """Write the soft prompt as a peft prompt-tuning adapter, which `PeftModel.from_pretrained` reads."""
        from peft import PromptTuningConfig
        from safetensors.torch import save_file

        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        config = PromptTuningConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=self.num_virtual_tokens,
            token_dim=self.prompt_embeddings.shape[1],
            num_transformer_submodules=1,
            base_model_name_or_path=self.base.config._name_or_path or None,
            inference_mode=True,
            **self.peft_fields,
        )
        config.save_pretrained(str(folder))
        prompt = self.prompt_embeddings.detach().cpu().contiguous()
        save_file({WEIGHTS_KEY: prompt}, folder / WEIGHTS_FILE, metadata={"format": "pt"})
        if "state_dict" in kwargs:  # a checkpoint of the stock Trainer, which resumes from a file of this name
            save_file({WEIGHTS_KEY: prompt}, folder / SAFE_WEIGHTS_NAME, metadata={"format": "pt"})

    @classmethod
    def from_pretrained(cls, base: PreTrainedModel, folder: str | Path) -> PromptTuningModel:  # type: ignore[override]
        """Load a soft prompt that we or peft saved onto its base model.

        Raises:
            UserError: the folder holds no prompt-tuning adapter.
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
        return cls(base, weights[WEIGHTS_KEY], **{name: getattr(config, name) for name in noted})
