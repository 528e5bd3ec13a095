"""Hashes of values."""

from __future__ import annotations

import hashlib
import json


def hash_json(value: object) -> str:
    """Hash a JSON value; equal values have equal hashes whatever their key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
