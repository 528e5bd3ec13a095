"""Models that classify the embeddings of frozen encoders."""
