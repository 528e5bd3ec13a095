"""SqueezeNet 1.0 (Iandola et al. 2016) up to its 512 features: a small real image encoder, which transformers lacks."""

import shutil

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, ConvNextImageProcessor, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

SQUEEZED = {2: 16, 3: 16, 4: 32, 5: 32, 6: 48, 7: 48, 8: 64, 9: 64}  # channels of each fire module; expanded: 8 times


class SqueezeNetConfig(PreTrainedConfig):
    model_type = "squeezenet"
    hidden_size: int = 512


class Fire(nn.Module):
    def __init__(self, width, squeezed):
        super().__init__()
        self.conv1x1_1 = nn.Conv2d(width, squeezed, 1)
        self.conv1x1_2 = nn.Conv2d(squeezed, 4 * squeezed, 1)
        self.conv3x3_2 = nn.Conv2d(squeezed, 4 * squeezed, 3, padding=1)

    def forward(self, x):
        x = self.conv1x1_1(x).relu()
        return torch.cat([self.conv1x1_2(x), self.conv3x3_2(x)], dim=1).relu()


class SqueezeNetModel(PreTrainedModel):
    config_class = SqueezeNetConfig
    main_input_name = "pixel_values"

    def __init__(self, config):
        super().__init__(config)
        self.conv1 = nn.Conv2d(3, 96, 7, stride=2)
        widths = [96, *(8 * squeezed for squeezed in SQUEEZED.values())]
        for width, (number, squeezed) in zip(widths, SQUEEZED.items(), strict=False):
            self.add_module(f"fire{number}", Fire(width, squeezed))
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.post_init()

    def forward(self, pixel_values, **kwargs):
        x = self.pool(self.conv1(pixel_values.flip(1)).relu())  # its weights are Caffe's, which reads BGR
        for number in SQUEEZED:
            x = getattr(self, f"fire{number}")(x)
            x = self.pool(x) if number in (4, 8) else x
        return BaseModelOutputWithPooling(last_hidden_state=x, pooler_output=x.mean(dim=(2, 3)))


AutoConfig.register("squeezenet", SqueezeNetConfig)
AutoModel.register(SqueezeNetConfig, SqueezeNetModel)


def save_squeezenet(weights, folder):
    """Lay out the state dict as a user would find a model on the hub, with its image processor."""
    SqueezeNetConfig(architectures=["SqueezeNetModel"]).save_pretrained(folder)
    scale = {"image_std": [1 / 255] * 3}  # and values up to 255, less the mean
    ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=0.875, **scale).save_pretrained(folder)
    shutil.copy(weights, folder / "model.safetensors")
    return folder
