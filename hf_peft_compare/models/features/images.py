"""One embedding of each image, by a frozen encoder that sees every image once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.hub_errors import explain

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MOST_NAMED = 5
IMAGES_AT_ONCE = 32
DEFAULT_SIZE = 224  # pixels of a side where the config does not tell


class ImageEncoder(nn.Module):
    """Embeddings of images by their paths, each computed once as long as the model lives.

    Args:
        model: a transformers model of images, or of texts and images.
        name: where its image processor is, a hub id or folder.
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
        """What crops, scales and normalizes images as the model was pretrained with.

        Raises:
            UserError: it cannot be had.
        """
        from transformers import AutoImageProcessor

        try:
            return AutoImageProcessor.from_pretrained(self.name)
        except Exception as error:  # transformers raises many kinds; each is about what the user gave
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
        """Embed so many images without content, [B, F]: what a plan measures."""
        config = getattr(self.model.config, "vision_config", self.model.config)
        size = getattr(config, "image_size", DEFAULT_SIZE)
        return self.embed(torch.zeros(num, 3, size, size, device=self.model.device))


def read_image(path: str) -> Any:
    """Read a whole image as RGB."""
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGB")


def check_images(paths: Iterable[str]) -> None:
    """Raise one UserError that counts and names the images that are missing or cannot be read to their end."""
    paths = sorted(set(paths))
    missing = [path for path in paths if not Path(path).is_file()]
    broken = [path for path in paths if path not in set(missing) and not _is_whole(path)]
    if missing or broken:
        found = [("missing", missing), ("broken", broken)]
        listed = "; ".join(f"{len(bad)} {what}: {_named(bad)}" for what, bad in found if bad)
        raise UserError(
            f"of {len(paths)} images, {listed}. Put them into their folder, as JPEG or PNG, or remove their rows."
        )


def _is_whole(path: str) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.draft("RGB", (1, 1))  # a JPEG is read to its end, but unpacked to an eighth: four times as fast
            image.load()
    except Exception:  # PIL raises many kinds; whichever it is, no model can see this image
        return False
    return True


def _named(paths: Sequence[str]) -> str:
    names = ", ".join(Path(path).name for path in paths[:MOST_NAMED])
    return f"{names} and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else names
