"""Image embeddings from a frozen encoder, computed once per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.hub_errors import explain
from hf_peft_compare.utils.remote_code import load_auto

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MOST_NAMED = 5
IMAGES_AT_ONCE = 32
DEFAULT_SIZE = 224  # pixels per side, if the config does not define it


class ImageEncoder(nn.Module):
    """Embeds images by path; embeddings are cached for the lifetime of the model.

    Args:
        model: a transformers model of images, or of texts and images.
        name: the Hub id or folder of its image processor.
    """

    def __init__(self, model: PreTrainedModel, name: str):
        super().__init__()
        self.model = model
        self.name = name
        self._known: dict[str, Tensor] = {}

    @property
    def width(self) -> int:
        """The size of an embedding, from the model's config."""
        config = self.model.config
        if hasattr(self.model, "get_image_features"):
            return config.projection_dim
        return config.hidden_sizes[-1] if hasattr(config, "hidden_sizes") else config.hidden_size

    @cached_property
    def processor(self) -> Any:
        """The image processor, which crops, scales and normalizes as in pretraining.

        Raises:
            UserError: it cannot be loaded.
        """
        from transformers import AutoImageProcessor

        try:
            return load_auto(AutoImageProcessor.from_pretrained, self.name)
        except Exception as error:  # transformers raises many types of errors; each is caused by the input
            raise UserError(explain("model", self.name, error)) from None

    def forward(self, paths: Sequence[str]) -> Tensor:
        """Embed the images at these paths, [B, F]."""
        new = [path for path in dict.fromkeys(paths) if path not in self._known]
        for start in range(0, len(new), IMAGES_AT_ONCE):
            some = new[start : start + IMAGES_AT_ONCE]
            pixels = self.processor([read_image(path) for path in some], return_tensors="pt")["pixel_values"]
            self._known.update(zip(some, self.embed(pixels.to(self.model.device)).cpu(), strict=True))
        return torch.stack([self._known[path] for path in paths]).to(self.model.device)

    def embed(self, pixel_values: Tensor) -> Tensor:
        """Embed images [B, 3, height, width] as [B, F]."""
        embed = getattr(self.model, "get_image_features", self.model)
        return embed(pixel_values=pixel_values).pooler_output.flatten(1)

    def embed_blank(self, num: int) -> Tensor:
        """Embed `num` blank images, [B, F], for estimating costs before a run."""
        config = getattr(self.model.config, "vision_config", self.model.config)
        size = getattr(config, "image_size", DEFAULT_SIZE)
        return self.embed(torch.zeros(num, 3, size, size, device=self.model.device))


def read_image(path: str) -> Any:
    """Read an image as RGB."""
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGB")


def check_images(paths: Iterable[str]) -> None:
    """Raise one UserError that counts and names all images that are missing or cannot be read completely."""
    paths = sorted(set(paths))
    missing = [path for path in paths if not Path(path).is_file()]
    broken = [path for path in paths if path not in set(missing) and not _is_whole(path)]
    if missing or broken:
        found = [("missing", missing), ("broken", broken)]
        listed = "; ".join(f"{len(bad)} {what}: {_named(bad)}" for what, bad in found if bad)
        raise UserError(
            f"of {len(paths)} images, {listed}. Put them into the images folder, as JPEG or PNG, or remove their rows."
        )


def _is_whole(path: str) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.draft(
                "RGB", (1, 1)
            )  # reads a JPEG completely, but decodes it at an eighth of its size: 4 times as fast
            image.load()
    except Exception:  # PIL raises many types of errors; each means that the image cannot be read
        return False
    return True


def _named(paths: Sequence[str]) -> str:
    names = ", ".join(Path(path).name for path in paths[:MOST_NAMED])
    return f"{names} and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else names
