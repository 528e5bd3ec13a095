"""`export`: write a finished run's model as a folder that peft or transformers loads."""

from __future__ import annotations

import argparse
from pathlib import Path

from hf_peft_compare.cli.options import Commands, add_command, add_run, run_folder
from hf_peft_compare.core.errors import OK
from hf_peft_compare.utils.quiet import quiet


def add(commands: Commands) -> None:
    """Add the command."""
    export = add_command(commands, "export", export_command, "write a run's model for peft or transformers")
    add_run(export)
    export.add_argument("folder", type=Path, metavar="FOLDER")
    export.add_argument("--merge", action="store_true", help="a plain transformers model instead of an adapter")
    export.add_argument("--push-to-hub", metavar="REPO", help="also upload it (needs `hf auth login`)")


@quiet()
def export_command(options: argparse.Namespace) -> int:
    """Write a finished run's model as a folder that peft or transformers loads, and push it if asked."""
    from hf_peft_compare.inference.export import export_run

    folder = run_folder(options.run, options.output_dir)
    print(export_run(folder, options.folder, merge=options.merge, push_to_hub=options.push_to_hub))
    return OK
