"""Soft prompts: producing a prompt [P, H] is apart from combining it with a text [B, P + T, H]."""
