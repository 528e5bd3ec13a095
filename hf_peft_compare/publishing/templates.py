"""The texts of the cards, with places for what a study has."""

from __future__ import annotations

from hf_peft_compare.inference.model_card import ENDING

DATASET_CARD = """\
# {title}

{description}

The records of a comparison of ways to adapt one model, made with `{repository}`: {rows} methods, seeds {seeds}, on
{dataset}.

## Verdict

{verdict}

## Results

{results}

Means over seeds; in `results.csv`, which the viewer shows, each run has a line with everything that was measured, in
raw units: seconds, bytes, nats.

## Files

| file | what it holds |
|---|---|
| `results.csv` | one line per run |
| `results.json` | rows with intervals, pairs, verdict |
| `records/RUN/record.json` | all measurements of a run, its settings and provenance |
{files}

```python
from datasets import load_dataset

results = load_dataset("{id}", "results", split="train").to_pandas()
```

The page: [{id}]({hub}/spaces/{id}).
"""
MODEL_CARD = f"""\
# {{title}} on {{base}}

{{idea}}

One run of the study [{{study}}]({{hub}}/datasets/{{dataset}}), made with `{{repository}}`:
method {{row}}, seed {{seed}}, {{chosen}}. {{trained}}.{{note}}

## Results

On {{examples}} test examples, scored once, after training. Losses are in nats; intervals are {{scope}}.

{{results}}

## The study's verdict

{{verdict}}

{{others}}

## Costs

Means over the finished seeds of this method.

{{costs}}

## Use

```python
{{usage}}
```
{ENDING}"""
SPACE_CARD = """\
# {title}

The report of the study whose records are in [{id}]({hub}/datasets/{id}): one page that loads nothing else.
"""
