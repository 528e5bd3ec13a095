"""`choose`: recommend a method under a budget."""

from __future__ import annotations

import argparse

from hf_peft_compare.cli.options import (
    Commands,
    above_zero,
    add_command,
    add_json,
    add_output_dir,
    number,
    print_json,
    study_folder,
)
from hf_peft_compare.core.errors import FAILED, OK
from hf_peft_compare.utils.remote_folder import local_name


def add(commands: Commands) -> None:
    """Add the command."""
    choose = add_command(commands, "choose", choose_command, "recommend a method under a budget, from finished studies")
    choose.add_argument(
        "study", metavar="STUDY", type=local_name, nargs="+", help="the name of a finished study, or its folder"
    )
    choose.add_argument(
        "--max-memory",
        metavar="SIZE",
        help="most memory, such as 8GiB or 500MB: GPU memory of training, else the process's",
    )
    choose.add_argument("--max-minutes", type=above_zero, metavar="N", help="most minutes of training")
    choose.add_argument(
        "--max-checkpoint",
        metavar="SIZE",
        help="largest checkpoint, such as 10MB: the files with the trained parameters",
    )
    choose.add_argument(
        "--max-latency", type=above_zero, metavar="SECONDS", help="highest latency of one call for one example"
    )
    choose.add_argument(
        "--min-quality", type=number, metavar="X", help="lowest mean ranking score (if lower is better: highest)"
    )
    choose.add_argument("--mergeable", action="store_true", help="only methods that can be merged into a plain model")
    choose.add_argument(
        "--within",
        type=above_zero,
        metavar="X",
        help="take the cheapest method whose mean is within X of the best one's",
    )
    add_json(choose, "print JSON: the row of each study, and the sentences")
    add_output_dir(choose)


def choose_command(options: argparse.Namespace) -> int:
    """Print the recommended method under a budget for each study; the status is 1 if no method fits."""
    from hf_peft_compare.api import load
    from hf_peft_compare.comparison.recommendation import summarize_choices

    choices, answers = [], []
    for study in options.study:
        found = load(study_folder(study, options.output_dir)).choose(
            max_memory=options.max_memory,
            max_minutes=options.max_minutes,
            max_checkpoint=options.max_checkpoint,
            max_latency=options.max_latency,
            min_quality=options.min_quality,
            mergeable=options.mergeable,
            within=options.within,
        )
        choices.append(found.choice)
        answers.append({"study": study, "row": found.row, "sentences": found.sentences})
        if not options.json:
            print(f"{study}\n" + "".join(f"    {sentence}\n" for sentence in found.sentences), end="")
    if options.json:
        print_json(answers)
    elif len(choices) > 1:
        print(summarize_choices(choices))
    return OK if all(choice.row for choice in choices) else FAILED
