"""Where and how the runs of a study are done, as options of the command line or arguments in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.accelerate_configs import find_accelerate_config
from hf_peft_compare.orchestration.executors import LOCAL, check_executor
from hf_peft_compare.orchestration.executors.executor import Launch
from hf_peft_compare.orchestration.slots import MaxParallel, check_parallel


class PlaceOptions(TypedDict, total=False):
    """Where and how runs are done.

    Args:
        num_processes: processes per run; None: one per GPU of this machine, or one.
        max_parallel: the most runs at the same time, or "auto"; None: 1 here, elsewhere as many as find room.
        accelerate_config: how several processes share a model: a built-in name such as "fsdp", or a config file.
        executor: "local", "slurm", "ray" or "command".
        executor_options: {option of the executor: value}.
    """

    num_processes: int | None
    max_parallel: MaxParallel | None
    accelerate_config: str | None
    executor: str
    executor_options: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where and how runs are done, see `PlaceOptions`; `accelerate_config` is a file here.

    Raises:
        UserError: an unknown executor or option, or options that exclude each other.
    """

    num_processes: int | None = None
    max_parallel: MaxParallel | None = None
    accelerate_config: Path | None = None
    executor: str = LOCAL
    executor_options: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_executor(self.executor, self.executor_options)
        check_parallel(self.max_parallel, self.num_processes if self.executor == LOCAL else None)
        if self.executor != LOCAL and self.max_parallel == "auto":
            raise UserError(
                f"--max-parallel is auto, which needs a plan of this machine; {self.executor} takes a number."
            )

    def launch(self, num_processes: int) -> Launch:
        """Return how an executor is to start each run."""
        return Launch(
            max_parallel=None if self.max_parallel == "auto" else self.max_parallel,
            num_processes=num_processes,
            accelerate_config=self.accelerate_config,
        )


HERE = Place()


def place_of(options: PlaceOptions) -> Place:
    """Return the place that options name.

    Raises:
        UserError: an unknown executor, option or accelerate config, or options that exclude each other.
    """
    config = options.get("accelerate_config")
    file = None if config is None else find_accelerate_config(config)
    values: dict[str, Any] = {**options, "accelerate_config": file}
    return Place(**values)
