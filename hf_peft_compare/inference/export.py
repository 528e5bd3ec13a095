"""Exports: a finished run as a folder that peft or transformers loads, with a model card, and pushed to the hub."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hf_peft_compare.comparison.formatting import format_count, format_percent, format_score, format_seconds
from hf_peft_compare.config import EMBEDDED, RunConfig
from hf_peft_compare.entries import get_task
from hf_peft_compare.errors import UserError
from hf_peft_compare.finished_runs import FinishedRun, load_run, read_finished
from hf_peft_compare.heads import head_of
from hf_peft_compare.records import MODEL_FOLDER, RunRecord

ADAPTER_CONFIG = "adapter_config.json"
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
REPOSITORY = "hf-peft-compare"

LOAD_ADAPTER = """\
from peft import PeftModel
from transformers import {auto_class}, AutoTokenizer

base = {auto_class}.from_pretrained({base}{classes})
model = PeftModel.from_pretrained(base, {name})
tokenizer = AutoTokenizer.from_pretrained({name})"""

LOAD_EMBEDDED = LOAD_ADAPTER.replace("{base}", "BASE_FOLDER").replace(
    "from peft", "from hf_peft_compare.embedded import BASE_FOLDER\nfrom peft"
)

LOAD_UNTRAINED = """\
from hf_peft_compare import load_run  # draws the random weights of the base anew

run = load_run("runs/{study}/{run}")
model, tokenizer = run.model, run.tokenizer"""

LOAD_PLAIN = """\
from transformers import {auto_class}, AutoTokenizer

model = {auto_class}.from_pretrained({name})
tokenizer = AutoTokenizer.from_pretrained({name})"""

CARD = """\
# {title} on {base}

{idea}

One run of `{repository}`: study {study}, method {row}, seed {seed}. {trainable} of {total} parameters ({share}) were
trained in {seconds} seconds on {device}.

## Results

Means over the test split, whose examples were scored once, after training. Losses are in nats per token.

{results}

## Use

```python
{load}
```

It reads prompts of the form that it was trained on:

```json
{task}
```

## Training

```json
{training}
```

## Provenance

```json
{provenance}
```
"""


def export_run(run_folder: str | Path, target: str | Path, *, merge: bool, push_to_hub: str | None = None) -> Path:
    """Write a finished run as a folder of its own: adapter or plain model, tokenizer, model card.

    Args:
        run_folder: the run's folder.
        target: the folder to write; it appears once it is whole.
        merge: write a plain transformers model rather than an adapter. Methods without an adapter (full, last
            layers) always do.
        push_to_hub: a repository id "user/name" to upload the folder to; None: it stays here.

    Returns:
        The target.

    Raises:
        UserError: nothing to export, a method that cannot be merged, a target that is taken, no login.
    """
    run, target = read_finished(Path(run_folder)), Path(target)
    _check(run, target, push_to_hub)
    plain = merge or not (run.folder / MODEL_FOLDER / ADAPTER_CONFIG).is_file()
    if plain and run.method.merge is None:
        raise UserError(
            f"{run.method.title} cannot be merged into a plain model; export it as an adapter (no --merge)."
        )
    loaded = load_run(run.folder)
    model = run.method.merge(loaded.model) if plain and run.method.merge else None
    with _appearing(target) as folder:
        if model is not None:
            model.save_pretrained(folder)
        else:
            shutil.copytree(run.folder / MODEL_FOLDER, folder, dirs_exist_ok=True)
        loaded.tokenizer.save_pretrained(folder)
        name = push_to_hub or target.name
        (folder / "README.md").write_text(model_card(run.record, run.config, name=name, plain=plain), encoding="utf-8")
    if push_to_hub is not None:
        _push(target, push_to_hub)
    return target


def model_card(record: RunRecord, config: RunConfig, *, name: str, plain: bool) -> str:
    """Write a run's model card in the hub's format.

    Args:
        name: what the model is loaded by, a repository id or a folder.
        plain: whether it is a plain transformers model, or else an adapter.
    """
    parameters = record.parameters or {"trainable_params": 0, "total_params": 1}
    text = CARD.format(
        title=record.card["title"],
        idea=record.card["idea"],
        base=_base_name(config),
        study=record.study,
        row=record.row,
        seed=record.seed,
        repository=REPOSITORY,
        trainable=format_count(parameters["trainable_params"]),
        total=format_count(parameters["total_params"]),
        share=format_percent(parameters["trainable_params"] / parameters["total_params"]),
        seconds=format_seconds(record.seconds.get("train")),
        device=record.provenance.get("device", "an unknown device"),
        results=_results_table(record),
        load=_loading(config, name=name, plain=plain),
        task=_json(config.task),
        training=_json({key: record.config[key] for key in ("method", "training", "max_length", "generation")}),
        provenance=_json({"config_hash": record.config_hash, **record.provenance}),
    )
    return f"---\n{_metadata(record, config, name=name, plain=plain).to_yaml()}\n---\n\n{text}"


def _metadata(record: RunRecord, config: RunConfig, *, name: str, plain: bool) -> Any:
    """Make the card's front matter; what is not on the hub is left out of it, since the hub refuses such a card."""
    from huggingface_hub import EvalResult, ModelCardData

    task = get_task(config.task["name"])
    dataset = config.dataset if _is_hub_id(config.dataset) else None
    results = [
        EvalResult(
            task_type=task.name,
            dataset_type=dataset or REPOSITORY,
            dataset_name=config.dataset,
            dataset_split=config.test_split,
            metric_type=score,
            metric_name=record.scores[score]["title"],
            metric_value=value,
        )
        for score, value in _ordered(record)
    ]
    return ModelCardData(
        model_name=name.rsplit("/", 1)[-1],
        base_model=config.model_name_or_path if _is_pretrained_on_hub(config) else None,
        library_name="transformers" if plain else "peft",
        datasets=[dataset] if dataset else None,
        pipeline_tag="text-generation" if head_of(config).generates else "text-classification",
        tags=[REPOSITORY, record.method, task.name],
        eval_results=results,
    )


def _loading(config: RunConfig, *, name: str, plain: bool) -> str:
    """Give the lines of Python that load the export."""
    if plain:
        template = LOAD_PLAIN
    elif config.init == "config":
        template = LOAD_UNTRAINED
    else:
        template = LOAD_EMBEDDED if config.model_name_or_path == EMBEDDED else LOAD_ADAPTER
    head = head_of(config)
    return template.format(
        auto_class=head.auto_class.__name__,
        classes="" if head.generates else f", num_labels={len(config.task['labels'])}",
        base=_quote(config.model_name_or_path),
        name=_quote(name),
        study=config.study,
        run=config.run,
    )


def _results_table(record: RunRecord) -> str:
    rows = [f"| {record.scores[name]['title']} | {format_score(value)} |" for name, value in _ordered(record)]
    return "\n".join(["| score | mean |", "|---|---|", *rows])


def _ordered(record: RunRecord) -> Iterator[tuple[str, float]]:
    return ((name, record.results[name]) for name in record.scores if name in record.results)


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=1, ensure_ascii=False)


def _quote(text: str) -> str:
    """Write a text as Python code."""
    return json.dumps(text, ensure_ascii=False)


def _base_name(config: RunConfig) -> str:
    return (
        config.architecture.get("model_type", config.model_name_or_path)
        if config.init == "config"
        else config.model_name_or_path
    )


def _is_pretrained_on_hub(config: RunConfig) -> bool:
    return config.init == "pretrained" and _is_hub_id(config.model_name_or_path)


def _is_hub_id(name: str) -> bool:
    return name != EMBEDDED and HUB_ID.fullmatch(name) is not None and not Path(name).exists()


def _check(run: FinishedRun, target: Path, push_to_hub: str | None) -> None:
    """Raise UserError for what cannot succeed, before anything is loaded or written."""
    if run.method.save is None:
        raise UserError(f"{run.method.title} trains nothing, so there is nothing to export; choose another run.")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{target} exists already; give a folder that does not exist or is empty.")
    if push_to_hub is not None:
        from huggingface_hub import get_token

        if not re.fullmatch(r"[\w.-]+/[\w.-]+", push_to_hub):
            raise UserError(f"--push-to-hub {push_to_hub!r}: expected a repository id such as user/name.")
        if get_token() is None:
            raise UserError("pushing to the hub needs an account; log in with `hf auth login`.")


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """Give a temporary sibling of a folder, and rename it when the block ends well; remove it when not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        os.replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _push(folder: Path, repo_id: str) -> None:
    """Upload an exported folder; raises UserError that says how to try again."""
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(repo_id, exist_ok=True)
        api.upload_folder(folder_path=str(folder), repo_id=repo_id, commit_message=f"Export by {REPOSITORY}")
    except Exception as error:  # network, permissions, names: each is for the user to mend
        raise UserError(
            f"{folder} is exported, but pushing it to {repo_id} failed ({type(error).__name__}: {error}). "
            f"Try again with `hf upload {repo_id} {folder}`."
        ) from None
