"""The base model, its head, soft prompts; quantization, frozen parts."""
