"""The parts of pages that are made from the code: a page names one as `{{ name }}` on a line of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from hf_peft_compare.orchestration.executors import DISTANT
from tools.docs import catalogue, command_line, gallery, record, settings

FRAGMENTS: Mapping[str, Callable[[], str]] = {
    "study_keys": settings.study_keys,
    **{f"{name}_options": partial(settings.executor_options, name) for name in DISTANT},
    "method_cards": catalogue.method_cards,
    "peft_cards": catalogue.peft_cards,
    "task_cards": catalogue.task_cards,
    "metric_table": catalogue.metric_table,
    "metric_settings": catalogue.metric_settings,
    "study_table": catalogue.study_table,
    "record_schema": record.record_schema,
    "command_line": command_line.command_line,
    "gallery": gallery.gallery,
}
PLACE = re.compile(r"^\{\{ (\w+) \}\}$", re.MULTILINE)


def filled(page: str) -> str:
    """Return a page with its fragments in their places; raise KeyError for a name that is none."""
    return PLACE.sub(lambda match: FRAGMENTS[match[1]](), page)
