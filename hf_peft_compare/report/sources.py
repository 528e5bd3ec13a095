"""What a model read of a test example, as one text."""

from __future__ import annotations

from collections.abc import Mapping

from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.report.pictures import has_pictures


def source_text(record: RunRecord | None, line: Mapping[str, object]) -> str:
    """Return an example's texts: a conversation's earlier turns with their roles, its source, and the second text."""
    turns = line.get("earlier")
    earlier = [turn for turn in turns if isinstance(turn, Mapping)] if isinstance(turns, list) else []
    parts = [f"[{turn.get('role')}] {turn.get('text')}" for turn in earlier]
    source = str(line.get("source") or "")
    parts.append(f"[user] {source}" if earlier else source)
    if line.get("source_pair") and not has_pictures(record):
        parts.append(str(line["source_pair"]))
    return "\n".join(parts)
