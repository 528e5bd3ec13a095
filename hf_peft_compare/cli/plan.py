"""`plan`: estimate the resources of a study before anything is downloaded or trained."""

from __future__ import annotations

import argparse
import json

from hf_peft_compare.cli.options import Commands, add_command, add_rows, add_study
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import OK
from hf_peft_compare.utils.quiet import quiet


def add(commands: Commands) -> None:
    """Add the command."""
    plan = add_command(
        commands, "plan", plan_command, "estimate parameters, memory, FLOPs and time of a study before it runs"
    )
    add_study(plan)
    add_rows(plan)
    plan.add_argument("--device", metavar="NAME", help="h200, a100, l4, t4 or cpu (default: this machine's)")
    plan.add_argument("--calibrate", action="store_true", help="time a few steps on this machine's device")
    plan.add_argument("--json", action="store_true", help="print JSON, in bytes, seconds and FLOPs")


@quiet()
def plan_command(options: argparse.Namespace) -> int:
    """Print the estimated resources of every run of a study, before anything is downloaded or trained."""
    from hf_peft_compare.api import plan_of

    study = load_study(options.study, options.set)
    plan = plan_of(study, rows=options.method, device=options.device, calibrate=options.calibrate)
    print(json.dumps(plan.as_json(), indent=1) if options.json else str(plan), end="\n" * options.json)
    return OK
