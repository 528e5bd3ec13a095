"""Provenance of the numbers: versions, device, commit, data, hashes, and the notes of every record."""

from __future__ import annotations

from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.report.blocks import Block, Bullets, Material, Section, text_table
from hf_peft_compare.report.sections.settings import flatten, split_common, write_value


def render_provenance(material: Material) -> list[Block]:
    """Return a table of facts common to all runs, and a table of those that differ by run."""
    records = {run.run: run.record for run in material.comparison.runs if run.record}
    if not records:
        return []
    facts = {
        name: {**_splits(record), **flatten(record.provenance.as_json()), **_hashes(record)}
        for name, record in records.items()
    }
    common, differing = split_common(facts)
    first = next(iter(facts.values()))
    blocks: list[Block] = []
    notes = [f"{name}: {note}" for name, record in records.items() for note in record.notes]
    if notes:
        blocks.append(Bullets(items=notes))
    if common:
        rows = [[key, write_value(first[key])] for key in common]
        blocks.append(text_table(name="provenance", caption="Common to all runs.", header=["Fact", "Value"], rows=rows))
    if differing:
        lines = [
            [name, *(write_value(fact[key]) if key in fact else "–" for key in differing)]
            for name, fact in facts.items()
        ]
        blocks.append(
            text_table(
                name="provenance-runs",
                caption="Run by run; hashes are cut to 12 digits.",
                header=["Run", *differing],
                rows=lines,
            )
        )
    return blocks


def _splits(record: RunRecord) -> dict[str, str]:
    """Return where the rows of each split come from, such as "200 rows cut from train"."""
    made = record.provenance
    train = made.split_sources.get("train")
    facts = {}
    for name, source in made.split_sources.items():
        size = made.num_examples.get(name, 0)
        cut = " cut" if source == train and name != "train" else ""
        left_out = (
            f", of which {made.num_dropped[name]:,} were left out as too long" if made.num_dropped.get(name) else ""
        )
        truncated = f", {made.num_cut[name]:,} truncated" if made.num_cut.get(name) else ""
        facts[f"{name} examples"] = f"{size:,} rows{cut} from {source}{left_out}{truncated}"
    if made.num_test_in_train:
        facts["test texts that are in train"] = f"{made.num_test_in_train:,}"
    return facts


def _hashes(record: RunRecord) -> dict[str, str]:
    return {
        "config hash": record.config_hash[:12],
        "initial parameters": (record.initial_trainables_sha256 or "–")[:12],
        "final parameters": (record.final_trainables_sha256 or "–")[:12],
    }


SECTION = Section(name="provenance", title="Provenance", order=90, render=render_provenance)
