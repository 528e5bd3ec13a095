"""Tasks of EleutherAI's lm-evaluation-harness, which show what a model has forgotten that no task of a study asks for.

Only tasks whose documents are answered by a choice are run. Every choice is scored as the study's own candidates are,
by `score_completions`, so that methods that treat a prompt unlike its completion are read as they were trained.
"""

from __future__ import annotations

import difflib
import importlib.util
import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Features
from hf_peft_compare.evaluation.scoring import score_completions
from hf_peft_compare.models.heads import head_of, lm_head_of

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

CHOICES, SCORE = "multiple_choice", "acc"
Tokens: TypeAlias = tuple[object, list[int], list[int]]  # what the harness gives: texts, prompt and choice


def check_lm_eval(configs: Sequence[RunConfig], *, num_processes: int) -> None:
    """Check that the harness can run a study's tasks on the models of all its rows; nothing is scored.

    Raises:
        UserError: it is not installed, does not know a task or cannot load it, a task is not answered by choices, a row
            has no LM head, or a run has several processes.
    """
    asking = [config for config in configs if config.lm_eval and config.method_type.uses_model]
    if not asking:
        return
    if importlib.util.find_spec("lm_eval") is None:
        raise UserError('lm_eval needs lm-eval, which is not installed; run pip install "hf_peft_compare[lm-eval]".')
    for config in asking:
        if not head_of(config).generates:
            raise UserError(
                f"lm_eval scores texts, but the model of row {config.row} has a class head and no LM head. Remove "
                f"lm_eval, or let the rows write their answers, as with task instructed_classification."
            )
    if num_processes > 1:
        raise UserError(f"lm_eval runs in one process, but a run has {num_processes}; remove one of the two settings.")
    for config in asking:
        for name in config.lm_eval:
            _check_task(name, config.lm_eval_include_path)


def answer_choices(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, config: StudyProtocol, *, max_length: int | None
) -> dict[str, str]:
    """Return for each task which documents a model answers rightly: a 1 or a 0 per document, in the task's order.

    Args:
        max_length: the number of tokens that the model can read; longer prompts lose their beginning. None: any.
    """
    from lm_eval.evaluator import simple_evaluate

    reader = _reader(model, tokenizer, batch_size=config.training.eval_batch_size, max_length=max_length)
    found = {}
    for name in config.lm_eval:
        results: Any = simple_evaluate(
            model=reader,
            tasks=[name],
            task_manager=_manager(name, config.lm_eval_include_path),
            limit=config.lm_eval_limit,
            bootstrap_iters=0,
        )
        documents = [(task, d["doc_id"], d[SCORE]) for task, lines in results["samples"].items() for d in lines]
        found[name] = "".join("1" if right else "0" for _, _, right in sorted(documents))
    return found


@lru_cache
def _check_task(name: str, include_path: str | None) -> None:
    """Raise UserError if a task is unknown, its documents cannot be loaded, or it is not answered by choices."""
    manager = _manager(name, include_path)
    if name not in manager.task_index:
        nearest = ", ".join(difflib.get_close_matches(name, manager.task_index)) or "none"
        raise UserError(f"unknown task of lm_eval {name!r}. Near: {nearest}. All: lm-eval ls tasks.")
    try:
        tasks = manager.load([name])["tasks"].values()
    except Exception as error:  # a task may load data from the Hub, and run code of the harness
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"task {name} of lm_eval cannot be loaded ({type(error).__name__}: {reason}). Check the network, or give "
            f"the folder of a task with local files: lm_eval_include_path."
        ) from None
    for task in tasks:
        if task.OUTPUT_TYPE != CHOICES or SCORE not in task.aggregation():
            raise UserError(
                f"task {task.task_name} of lm_eval is of type {task.OUTPUT_TYPE} with {', '.join(task.aggregation())}; "
                f"expected {CHOICES} with {SCORE}, such as arc_easy, hellaswag, piqa or mmlu."
            )


@lru_cache
def _manager(name: str, include_path: str | None) -> Any:
    """Return the harness's index of tasks: of a local folder if it has the task, which takes no time, else of all."""
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns of every default that a task file relies on

    if include_path is not None:
        local = TaskManager(include_path=include_path, include_defaults=False)
        if name in local.task_index:
            return local
    return _all_tasks(include_path)


@lru_cache
def _all_tasks(include_path: str | None) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=include_path)


def _reader(model: nn.Module, tokenizer: PreTrainedTokenizerBase, *, batch_size: int, max_length: int | None) -> Any:
    """Return the model as the harness calls it."""
    from lm_eval.api.model import TemplateLM

    class Reader(TemplateLM):
        """Scores the choices of a document as completions of its text."""

        backend = "seq2seq" if lm_head_of(model).reads_apart else "causal"  # whether the two are tokenized apart
        eot_token_id = tokenizer.eos_token_id
        prefix_token_id = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id

        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: object) -> list[int]:
            ids: list[int] = tokenizer(string, add_special_tokens=add_special_tokens is not False, verbose=False)[
                "input_ids"
            ]
            return ids

        def loglikelihood(self, requests: Sequence[object], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
            scores: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
            return scores

        def _loglikelihood_tokens(self, requests: Sequence[Tokens], **kwargs: object) -> list[tuple[float, bool]]:
            """Return log-likelihoods, and False: whether a choice is the likeliest text counts for no choice."""
            rows = list(_rows(requests, max_length))
            scored = score_completions(model, rows, pad_token_id=tokenizer.pad_token_id, batch_size=batch_size)
            return [(-nats, False) for nats, _ in scored]

        def loglikelihood_rolling(self, requests: object, disable_tqdm: bool = False) -> list[float]:
            raise UserError(f"lm_eval asks for the likelihood of whole texts; expected tasks of type {CHOICES}.")

        def generate_until(self, requests: object, disable_tqdm: bool = False) -> list[str]:
            raise UserError(f"lm_eval asks for written answers; expected tasks of type {CHOICES}.")

    return Reader()


def _rows(requests: Sequence[Tokens], max_length: int | None) -> Iterator[Features]:
    """Yield each prompt with its choice; what is too long loses its beginning, but for one token before the choice."""
    for _, prompt, choice in requests:
        ids = [*prompt, *choice]
        kept = ids if max_length is None else ids[-max_length:]
        yield {"input_ids": kept, "num_completion_tokens": min(len(choice), len(kept) - 1)}
