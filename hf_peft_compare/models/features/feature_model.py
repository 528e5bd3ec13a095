"""FeatureModel: frozen encoders, and a small trainable head on their embeddings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from hf_peft_compare.models.features.images import ImageEncoder
from hf_peft_compare.models.features.pooling import Pooling, embed_texts, text_width
from hf_peft_compare.models.frozen_trunk import Trunk
from hf_peft_compare.models.trainable_parameters import load_trainables, save_trainables

WEIGHTS_FILE, CONFIG_FILE = "head.safetensors", "features.json"


class FeatureModel(PreTrainedModel):
    """A classifier with a trainable head on a frozen embedding [F] of each example.

    The embedding is computed in float32 at any training precision, so cached and recomputed values are the same.

    Args:
        base: a text model without a head; its parameters are frozen.
        classifier: the head, which maps embeddings [B, 1, F] to logits [B, 1, C].
        pooling: how a text's states become one vector, see `pooling.pool`.
        images: encoder of the image of each example, whose embedding comes first; None: text only.
    """

    base_model_prefix = "base"
    supports_gradient_checkpointing = True
    # The wrapped model has chosen its attention already; transformers checks the class of the wrapper.
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(
        self, base: PreTrainedModel, classifier: nn.Module, *, pooling: Pooling, images: ImageEncoder | None = None
    ):
        super().__init__(base.config)
        self.base = base.requires_grad_(False)
        self.images = None if images is None else images.requires_grad_(False)
        self.classifier = classifier.to(base.device)
        self.pooling = pooling

    @property
    def frozen_trunk(self) -> Trunk:
        """Everything except the head, as a trunk with one state per example."""
        image = {} if self.images is None else {"image": self.images.width}
        return Trunk(
            base=self,
            blocks=(),
            above=(self.classifier,),
            boundary=self.classifier,
            embedding_widths={**image, "text": text_width(self.base)},
            embedded_by=self._description(),
        )

    def _description(self) -> str:
        if self.images is None:
            return self.pooling
        processor = "" if self.device.type == "meta" else self.images.processor.to_json_string()
        return f"{self.pooling} {self.images.model.config.to_json_string()} {processor}"

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        images: Sequence[str] | None = None,
        trunk_states: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: object,
    ) -> SequenceClassifierOutput:
        """Classify a batch.

        Args:
            input_ids, attention_mask, token_type_ids: [B, T].
            images: path of each example's image; None: blank images, if the model has an image encoder.
            trunk_states: precomputed embeddings [B, 1, F], which replace all other inputs.
            labels: [B], -100 where the class is unknown.
        """
        if trunk_states is None:
            types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            trunk_states = self.embed(images, input_ids=input_ids, attention_mask=attention_mask, **types)
        logits = self.classifier(trunk_states).squeeze(1)
        loss = None if labels is None else nn.functional.cross_entropy(logits.float(), labels, ignore_index=-100)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    @torch.no_grad()
    def embed(self, images: Sequence[str] | None, **texts: Tensor) -> Tensor:
        """Compute the embedding of each example, [B, 1, F]: of its image, with an image encoder, and its text."""
        with torch.autocast(self.device.type if self.device.type != "meta" else "cpu", enabled=False):
            parts = [embed_texts(self.base, self.pooling, **texts)]
            if self.images is not None:
                blank = images is None
                parts.insert(0, self.images.embed_blank(len(parts[0])) if blank else self.images(images))
        return torch.cat(parts, dim=1)[:, None]

    def save_head(self, folder: Path) -> None:
        """Write the head, and the pooling and widths of its input."""
        save_trainables(self, folder / WEIGHTS_FILE)
        noted = {"pooling": self.pooling, "embedding_widths": dict(self.frozen_trunk.embedding_widths)}
        (folder / CONFIG_FILE).write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")

    def load_head(self, folder: Path) -> FeatureModel:
        """Load a saved head and its pooling; return the model."""
        load_trainables(self, folder / WEIGHTS_FILE)
        self.pooling = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["pooling"]
        return self
