"""`publish`: put a study, its page and its models on the Hub."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from hf_peft_compare.cli.options import Commands, add_command, add_output_dir, add_trust, key_and_value, study_folder
from hf_peft_compare.core.errors import OK
from hf_peft_compare.utils.remote_folder import local_name


def add(commands: Commands) -> None:
    """Add the command."""
    publish = add_command(commands, "publish", publish_command, "put a study's records, page and models on the Hub")
    publish.add_argument("study", metavar="STUDY", type=local_name, help="the name of a finished study, or its folder")
    publish.add_argument("--to", required=True, metavar="NAMESPACE/NAME", help="the repository of the records")
    publish.add_argument(
        "--row", action="append", default=[], metavar="ROW", help="publish its model, as NAME-ROW; repeatable"
    )
    publish.add_argument("--merge", action="store_true", help="plain transformers models in place of adapters")
    publish.add_argument("--private", action="store_true", help="create private repositories")
    publish.add_argument(
        "--with-predictions", action="store_true", help="publish predictions and examples, with the data set's texts"
    )
    publish.add_argument("--license", metavar="ID", help="such as apache-2.0 (default: the cards name none)")
    publish.add_argument(
        "--hub-id",
        action="append",
        default=[],
        type=key_and_value,
        metavar="PATH=ID",
        help="what a local data set or model is called on the Hub; repeatable",
    )
    publish.add_argument("--redact", action="store_true", help="put placeholders for paths, hosts and users")
    publish.add_argument(
        "--benchmark-task", metavar="ID", help="the task in the data set's eval.yaml, if it is a benchmark of the Hub"
    )
    publish.add_argument("--dry-run", action="store_true", help="write everything into a folder, upload nothing")
    publish.add_argument(
        "--output", type=Path, metavar="FOLDER", help="folder of --dry-run (default: publish/ beside the runs)"
    )
    add_output_dir(publish)
    add_trust(publish)


def publish_command(options: argparse.Namespace) -> int:
    """Publish a study, or show what would be published."""
    from hf_peft_compare.results.result import Result

    result = Result.read(study_folder(options.study, options.output_dir))
    result = replace(result, trusts_remote_code=options.trust_remote_code)
    dry_run = (options.output or result.folder / "publish") if options.dry_run or options.output else None
    published = result.publish(
        options.to,
        rows=options.row,
        dry_run=dry_run,
        private=options.private,
        with_predictions=options.with_predictions,
        merge=options.merge,
        license=options.license,
        hub_ids=dict(options.hub_id),
        redact=options.redact,
        benchmark_task=options.benchmark_task,
    )
    print(published)
    return OK
