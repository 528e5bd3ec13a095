"""The heads of frozen features: small, and all that is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def classifier(num_features: int, num_classes: int, *, hidden_size: int | None) -> nn.Module:
    """Make a linear classifier, or one with a hidden layer and ReLU."""
    if hidden_size is None:
        return nn.Linear(num_features, num_classes)
    return nn.Sequential(nn.Linear(num_features, hidden_size), nn.ReLU(), nn.Linear(hidden_size, num_classes))


class FusedClassifier(nn.Module):
    """A linear layer with ReLU for the embedding of each encoder, and a linear classifier of all of them together.

    Args:
        widths: sizes of the embeddings, which stand one after the other.
    """

    def __init__(self, widths: list[int], num_classes: int, *, hidden_size: int):
        super().__init__()
        self.widths = widths
        self.projections = nn.ModuleList(nn.Linear(width, hidden_size) for width in widths)
        self.classifier = nn.Linear(len(widths) * hidden_size, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Give logits [..., C] of embeddings [..., F]."""
        parts = zip(self.projections, features.split(self.widths, dim=-1), strict=True)
        return self.classifier(torch.cat([torch.relu(project(part)) for project, part in parts], dim=-1))
