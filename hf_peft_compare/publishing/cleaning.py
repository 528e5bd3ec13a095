"""Records as they are published: without their host, and with Hub ids or placeholders in place of local paths."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from hf_peft_compare.comparison.example_scores import CONTRIBUTIONS, Predictions
from hf_peft_compare.config.identity import BASE_MODEL, DATA, LABELS, TASK_FILES, TOKENIZER
from hf_peft_compare.config.layers import flatten
from hf_peft_compare.config.protocol import EMBEDDED, is_embedded
from hf_peft_compare.config.schema import StudyConfig
from hf_peft_compare.core.settings import parse
from hf_peft_compare.publishing.leaks import HOST, LOCAL, PATH, SECRET, USER, Scrubber, exactly, redactions
from hf_peft_compare.quickstart import BASE_FOLDER
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.results.result import Result

SHORTEST_NAME = 6  # letters of a host's or a user's name that is looked for; shorter ones are words too
COMMON_NAMES = frozenset({"localhost", "ubuntu", "runner", "jovyan", "vscode", "nobody", "default"})
SECRET_VARIABLES = re.compile(r"TOKEN|SECRET|PASSWORD|API_?KEY|ACCESS_KEY")
SHORTEST_SECRET = 16
# In tracebacks: what follows is public.
LIBRARIES = r"[^\s\"']*/(?:lib/python3\.\d+/(?:(?:site|dist)-packages/)?|(?:site|dist)-packages/)"
PACKAGE = BASE_FOLDER.parents[2]  # the folder that this package is in


def private_names(result: Result, *, namespace: str) -> dict[str, str]:
    """Return {private text: its kind}: local inputs of a study, and names of its hosts, this one and its user.

    Args:
        namespace: the user or organization that publishes, whose name is public.
    """
    found = {text: SECRET for name, text in os.environ.items() if SECRET_VARIABLES.search(name) and _is_secret(text)}
    hosts = {socket.gethostname(), *(record.provenance.host or "" for record in result.records.values())}
    users = {_user(), Path.home().name}
    named = {**dict.fromkeys(users, USER), **dict.fromkeys(hosts, HOST)}
    found |= {name: kind for name, kind in named.items() if name != namespace and _is_telling(name)}
    folder = result.folder
    found |= dict.fromkeys(map(str, (Path.home(), Path.cwd(), folder.absolute(), folder.resolve())), PATH)
    found |= dict(_local_inputs(asdict(result.study), {}))
    for record in result.records.values():
        found |= dict(_local_inputs(record.config, record.provenance.inputs or {}))
    found.pop("/", None)  # the home of some users in containers
    return found


def _user() -> str:
    """Return the user's name; empty where the system knows none, as in containers that run under any number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _is_secret(text: str) -> bool:
    return len(text) >= SHORTEST_SECRET and not re.search(r"[\s/]", text)


def _is_telling(name: str) -> bool:
    """Whether a host's or user's name is looked for by itself; in paths, any is found."""
    return name not in COMMON_NAMES and (len(name) >= SHORTEST_NAME or (len(name) > 2 and not name.isalpha()))


def _local_inputs(config: Mapping[str, object], inputs: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the local data set, models and files that the config of a study or a run names, and their kinds.

    Names of one word are not among them: they say nothing, and words like them are all over a report.

    Args:
        inputs: {local input that a run has read: its hash}; others are private if they are here.
    """
    data, model, file = LOCAL
    keys = {
        "dataset": (DATA, data),
        "model_name_or_path": (BASE_MODEL, model),
        "tokenizer_name_or_path": (TOKENIZER, model),
        "labels_from.file": (LABELS, file),
        "labels_from.run": (LABELS, file),
        "lm_eval_include_path": (TASK_FILES, file),
    }
    settings = flatten(config)
    for key, (source, kind) in keys.items():
        name = settings.get(key)
        if isinstance(name, str) and _is_path(name) and (source in inputs or _exists(name)):
            yield name, kind
    for text in _texts([config.get(key) for key in ("method", "methods", "task")]):
        if _is_path(text) and _exists(text):
            yield text, file


def _is_path(name: str) -> bool:
    return not is_embedded(name) and bool(re.search(r"[/\\.]", name)) and "\n" not in name


def _exists(name: str) -> bool:
    try:
        return Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, or no path at all
        return False


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def scrubber_of(names: Mapping[str, str], folder: Path, hub_ids: Mapping[str, str], *, redact: bool) -> Scrubber:
    """Return what replaces texts before anything is rendered.

    What is replaced in any case: the folders of this study, of this package and of installed ones, by what everybody
    else calls them.

    Args:
        names: {private text: its kind}, see `private_names`.
        hub_ids: {local path: its name on the Hub}.
        redact: put placeholders in the place of all paths, hosts and users that are left.
    """
    named = [(exactly(path), name) for path, name in sorted(hub_ids.items(), key=lambda item: -len(item[0]))]
    folders = dict.fromkeys([folder.absolute(), folder.resolve()])
    always = [
        (exactly(str(BASE_FOLDER)), EMBEDDED),
        *((re.compile(rf"{re.escape(str(path))}(?![\w.-])"), f"runs/{folder.name}") for path in folders),
        (re.compile(LIBRARIES), ""),
        (re.compile(re.escape(f"{PACKAGE}/hf_peft_compare/")), "hf_peft_compare/"),
    ]
    return Scrubber(replaced=[*named, *always, *(redactions(names) if redact else [])])


def clean_record(record: RunRecord, scrubber: Scrubber, *, with_texts: bool) -> RunRecord:
    """Return a record without the name of its host, and with its texts scrubbed.

    Args:
        with_texts: keep the example of the data that it shows.
    """
    made = record.provenance
    inputs = made.inputs and {scrubber.text(name): found for name, found in made.inputs.items()}  # some name a path
    made = replace(made, host=None, inputs=inputs, example_input=made.example_input if with_texts else {})
    tree = scrubber.mapping(asdict(replace(record, provenance=made)))
    cleaned = parse(RunRecord, tree, where=record.run, if_missing="")
    return replace(cleaned, study=record.study, row=record.row, method=record.method)


def clean_study(study: StudyConfig, scrubber: Scrubber) -> StudyConfig:
    """Return a study with its texts scrubbed."""
    cleaned = parse(StudyConfig, scrubber.mapping(asdict(study)), where=f"study {study.name}")
    return replace(cleaned, name=study.name)


def without_texts(predictions: Predictions) -> list[dict[str, object]]:
    """Return what the verdict follows from: each example's scores, and its class if they are of classes; no texts."""
    kept = ["id", "scores", "nll", "num_tokens", "cluster", "group"]
    if any(name.startswith(CONTRIBUTIONS) for line in predictions[:1] for name in line.get("scores", ())):
        kept.append("reference")
    return [{key: line[key] for key in kept if key in line} for line in predictions]
