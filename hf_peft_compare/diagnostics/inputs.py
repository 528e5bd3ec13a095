"""The checks of data and base: splits, ids and texts, weights and vocabulary are what they are taken for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.checks import check_ids, count_test_in_train
from hf_peft_compare.data.splits import SPLITS
from hf_peft_compare.diagnostics.context import CheckContext
from hf_peft_compare.diagnostics.results import CheckResult, does_not_apply, judged
from hf_peft_compare.models.fitting import Misfit, check_vocabulary
from hf_peft_compare.models.loading import base_on_meta, check_weights, load_tokenizer, tokenizer_path

MAX_SHARE_IN_TRAIN = 0.1  # of the test texts: a few that are repeated by chance change no conclusion


def splits(context: CheckContext) -> CheckResult:
    """Check that each split comes from the dataset's split that the study names."""
    config, sources = context.config, context.examples.sources
    train, single_table = config.train_split, len(set(sources.values())) == 1
    found, wrong = [], []
    for name in SPLITS:
        size, source = len(context.examples[name]), sources[name]
        cut = " cut" if name != "train" and source == train else ""
        found.append(f"{name}: {size:,} rows{cut} from {source}")
        if size and not single_table and source != getattr(config, f"{name}_split"):
            wrong.append(name)
    return judged(not wrong, expected="rows of the splits that the study names", found="; ".join(found))


def ids(context: CheckContext) -> CheckResult:
    """Check that no two examples of a split share an id."""
    problem = next(filter(None, (_problem(partial(check_ids, context.examples[name], name)) for name in SPLITS)), None)
    number = sum(map(len, context.examples.values()))
    return judged(problem is None, expected="unique ids within each split", found=problem or f"{number:,} unique ids")


def overlap(context: CheckContext) -> CheckResult:
    """Check that few test texts are in train too."""
    number, size = count_test_in_train(context.examples), len(context.examples["test"])
    return judged(
        number <= MAX_SHARE_IN_TRAIN * size,
        expected=f"at most {MAX_SHARE_IN_TRAIN:.0%} of the test texts in train too",
        found=f"{number:,} of {size:,}",
    )


def weights(context: CheckContext) -> CheckResult:
    """Check that the base's weights fit its architecture."""
    if not context.config.method_type.uses_model:
        return does_not_apply("no model is loaded")
    if context.config.init != "pretrained":
        return does_not_apply("the study asks for random weights")
    problem = _problem(lambda: check_weights(context.config), Misfit)
    return judged(
        problem is None,
        expected="a tensor of the right shape for everything but a new head",
        found=problem or "none is missing",
    )


def vocabulary(context: CheckContext) -> CheckResult:
    """Check that the tokenizer has a vocabulary, and the base an embedding for each token."""
    if not context.config.method_type.uses_model:
        return does_not_apply("no model is loaded")
    name = tokenizer_path(context.config)
    check = partial(check_vocabulary, name)
    problem = _problem(lambda: check(load_tokenizer(context.config), base_on_meta(context.config)), Misfit)
    return judged(
        problem is None,
        expected="a vocabulary, with an embedding of the base for each token",
        found=problem or "every token has one",
    )


INPUT_CHECKS = (splits, ids, overlap, weights, vocabulary)


def _problem(check: Callable[[], object], kind: type[UserError] = UserError) -> str | None:
    """Return the error of a check as text, if it is of this kind; None: there is none."""
    try:
        check()
    except kind as error:
        return str(error)
    return None
