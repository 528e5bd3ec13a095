"""`status` and `cancel`: where the runs of a study are, and how to stop them."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from hf_peft_compare.cli.options import Commands, add_command, add_json, add_output_dir, print_json
from hf_peft_compare.core.errors import OK
from hf_peft_compare.utils.remote_folder import local_name


def add(commands: Commands) -> None:
    """Add both commands."""
    meaning = "the name of a study that has begun, its file or its folder"
    status = add_command(commands, "status", status_command, "show which runs wait, run, are finished or have failed")
    status.add_argument("study", metavar="STUDY", type=local_name, help=meaning)
    add_json(status)
    add_output_dir(status)
    cancel = add_command(commands, "cancel", cancel_command, "stop a study and its runs, here and in a queue")
    cancel.add_argument("study", metavar="STUDY", type=local_name, help=meaning)
    add_output_dir(cancel)


def status_command(options: argparse.Namespace) -> int:
    """Print where each run of a study is, and how many are in each state."""
    from hf_peft_compare.orchestration.status import STATES, folder_with_study, status_of

    found = status_of(folder_with_study(options.study, options.output_dir))
    if options.json:
        print_json(asdict(found))
        return OK
    width = max(len(run.run) for run in found.runs)
    for run in found.runs:
        print(f"{run.run:{width}}  {run.state:11}  {run.detail}".rstrip())
    print(f"\n{found.study}: " + ", ".join(f"{n} {state}" for state in STATES if (n := found.count(state))))
    if found.num_trials:
        print(f"trials of its tuning that have ended: {found.num_trials}")
    if found.owner:
        print(f"{found.owner} follows it")
    elif found.count("finished") < len(found.runs):
        print(f"no process follows it; `hf-peft-compare run {options.study}` goes on with it")
    return OK


def cancel_command(options: argparse.Namespace) -> int:
    """Stop a study, and print what was stopped."""
    from hf_peft_compare.orchestration.status import cancel, folder_with_study

    for sentence in cancel(folder_with_study(options.study, options.output_dir)):
        print(sentence)
    return OK
