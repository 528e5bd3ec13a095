"""Frozen features: embeddings of texts and images, computed once per example, and the small heads trained on them."""
