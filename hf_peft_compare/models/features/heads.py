"""The trainable heads of frozen features."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def classifier(num_features: int, num_classes: int, *, hidden_size: int | None) -> nn.Module:
    """Build a linear classifier, or one with a hidden layer and ReLU."""
    if hidden_size is None:
        return nn.Linear(num_features, num_classes)
    return nn.Sequential(nn.Linear(num_features, hidden_size), nn.ReLU(), nn.Linear(hidden_size, num_classes))


class FusedClassifier(nn.Module):
    """A linear layer with ReLU per encoder's embedding, and a linear classifier on their concatenation.

    Args:
        widths: sizes of the embeddings, which are concatenated in this order.
    """

    def __init__(self, widths: list[int], num_classes: int, *, hidden_size: int):
        super().__init__()
        self.widths = widths
        self.projections = nn.ModuleList(nn.Linear(width, hidden_size) for width in widths)
        self.classifier = nn.Linear(len(widths) * hidden_size, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Compute the logits [..., C] of embeddings [..., F]."""
        parts = zip(self.projections, features.split(self.widths, dim=-1), strict=True)
        return self.classifier(torch.cat([torch.relu(project(part)) for project, part in parts], dim=-1))
