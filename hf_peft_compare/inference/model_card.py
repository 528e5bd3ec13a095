"""The model card of an exported run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.config.protocol import EMBEDDED, StudyProtocol, is_embedded
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.records.parts import Parameters
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.utils.formatting import format_count, format_percent, format_score, format_seconds
from hf_peft_compare.utils.json_text import json_text
from hf_peft_compare.utils.markdown import plain_table

if TYPE_CHECKING:
    from huggingface_hub import CardData, ModelCardData

HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
REPOSITORY = "hf-peft-compare"
HUB_TASKS = {  # the Hub's names of tasks; others write a text or choose a class
    "question_answering": "question-answering",
    "summarization": "summarization",
    "visual_question_answering": "visual-question-answering",
}
LOAD_ADAPTER = """\
from peft import PeftModel
from transformers import {auto_class}, AutoTokenizer

base = {auto_class}.from_pretrained({base}{classes})
model = PeftModel.from_pretrained(base, {name})
tokenizer = AutoTokenizer.from_pretrained({name})"""
LOAD_EMBEDDED = LOAD_ADAPTER.replace("{base}", "BASE_FOLDER").replace(
    "from peft", "from hf_peft_compare.quickstart import BASE_FOLDER\nfrom peft"
)
LOAD_GGUF = LOAD_ADAPTER.replace("AutoTokenizer\n", "AutoTokenizer, GgufConfig\n").replace(
    "{base}{classes}", "{base}, gguf_file={gguf}{classes}, quantization_config=GgufConfig(dequantize=True)"
)
LOAD_UNTRAINED = """\
from hf_peft_compare import load_run  # draws the random weights of the base again

run = load_run("runs/{study}/{run}")
model, tokenizer = run.model, run.tokenizer"""
LOAD_PLAIN = """\
from transformers import {auto_class}, AutoTokenizer

model = {auto_class}.from_pretrained({name})
tokenizer = AutoTokenizer.from_pretrained({name})"""
ENDING = """
## Training

```json
{training}
```

## Provenance

```json
{provenance}
```
"""
CARD = f"""\
# {{title}} on {{base}}

{{idea}}

One run of `{{repository}}`: study {{study}}, method {{row}}, seed {{seed}}. {{trained}}.

## Results

Means over the test split, whose examples were scored once, after training. Losses are in nats per token.

{{results}}

## Use

```python
{{load}}
```

It expects prompts in the format that it was trained on, see `task` below.
{ENDING}"""


def model_card(record: RunRecord, config: RunConfig, *, name: str, plain: bool) -> str:
    """Return a run's model card in the Hub's format.

    Args:
        name: the repository id or folder that the model is loaded from.
        plain: whether the export is a plain transformers model; otherwise it is an adapter.
    """
    scores = [(record.scores[name].title, format_score(value)) for name, value in ordered_results(record)]
    text = CARD.format(
        **facts_of(record, config),
        results=plain_table(["score", "mean"], scores),
        load=loading_code(config, name=name, plain=plain),
    )
    return with_metadata(metadata_of(record, config, name=name, plain=plain), text)


def facts_of(record: RunRecord, config: RunConfig) -> dict[str, object]:
    """Return what every card of a run says of it, by the place that it has in the card's text."""
    parameters = record.parameters or Parameters(trainable_params=0, total_params=1)
    settings = ("task", "method", "training", "max_length", "generation")
    return {
        "title": record.card.title,
        "base": base_name(config),
        "idea": record.card.idea,
        "repository": REPOSITORY,
        "study": record.study,
        "row": record.row,
        "seed": record.seed,
        "trained": (
            f"{format_count(parameters.trainable_params)} of {format_count(parameters.total_params)} parameters "
            f"({format_percent(parameters.trainable_ratio)}) were trained in {format_seconds(record.seconds.train)} "
            f"seconds on {record.provenance.device or 'an unknown device'}"
        ),
        "training": json_text({key: record.config[key] for key in settings}),
        "provenance": json_text({"config_hash": record.config_hash, **record.provenance.as_json()}),
    }


def with_metadata(data: CardData, text: str) -> str:
    """Return a card: what the Hub reads, and what people do."""
    return f"---\n{data.to_yaml()}\n---\n\n{text}"


def metadata_of(record: RunRecord, config: RunConfig, *, name: str, plain: bool) -> ModelCardData:
    """Return the card's metadata, without models and datasets outside the Hub, since the Hub rejects such cards."""
    from huggingface_hub import EvalResult, ModelCardData

    task = config.task_type
    dataset = config.dataset if is_hub_id(config.dataset) else None
    results = [
        EvalResult(
            task_type=hub_task(config),
            dataset_type=dataset or REPOSITORY,
            dataset_name=config.dataset,
            dataset_split=config.test_split,
            metric_type=score,
            metric_name=record.scores[score].title,
            metric_value=value,
        )
        for score, value in ordered_results(record)
    ]
    return ModelCardData(
        model_name=name.rsplit("/", 1)[-1],
        base_model=config.model_name_or_path if _is_pretrained_on_hub(config) else None,
        library_name="transformers" if plain else "peft",
        datasets=[dataset] if dataset else None,
        metrics=[metric.name for metric in config.metrics],
        pipeline_tag="text-generation" if head_of(config).generates else "text-classification",
        tags=[REPOSITORY, record.method, task.name],
        eval_results=results,
    )


def hub_task(config: StudyProtocol) -> str:
    """Return the Hub's name of a task: what is scored, whatever model does it."""
    task = config.task_type
    written = task.labels(config.task_settings) is None
    return HUB_TASKS.get(task.name, "text-generation" if written else "text-classification")


def loading_code(config: RunConfig, *, name: str, plain: bool) -> str:
    """Return the Python code that loads the export."""
    if plain:
        template = LOAD_PLAIN
    elif config.init == "config":
        template = LOAD_UNTRAINED
    elif config.gguf_file is not None:
        template = LOAD_GGUF
    else:
        template = LOAD_EMBEDDED if config.model_name_or_path == EMBEDDED else LOAD_ADAPTER
    head = head_of(config)
    return template.format(
        auto_class=head.auto_class.__name__,
        classes="" if head.generates else f", num_labels={len(config.task['labels'])}",
        base=quote(config.model_name_or_path),
        name=quote(name),
        gguf=quote(config.gguf_file or ""),
        study=config.study,
        run=config.run,
    )


def ordered_results(record: RunRecord) -> Iterator[tuple[str, float]]:
    return ((name, record.results[name]) for name in record.scores if name in record.results)


def quote(text: str) -> str:
    """Return a text as a Python literal."""
    return json.dumps(text, ensure_ascii=False)


def base_name(config: RunConfig) -> str:
    if config.init == "config":
        return str(config.architecture.get("model_type", config.model_name_or_path))
    return "/".join(filter(None, (config.model_name_or_path, config.gguf_file)))


def _is_pretrained_on_hub(config: RunConfig) -> bool:
    return config.init == "pretrained" and is_hub_id(config.model_name_or_path)


def is_hub_id(name: str) -> bool:
    return not is_embedded(name) and HUB_ID.fullmatch(name) is not None and not Path(name).exists()
