"""One row of a result: its numbers, and its runs at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.run_folder import run_name
from hf_peft_compare.utils.quiet import quiet
from hf_peft_compare.utils.remote_code import trusting

if TYPE_CHECKING:
    from hf_peft_compare.inference.loading import LoadedRun


@dataclass(frozen=True, kw_only=True, repr=False)
class MethodResult:
    """One row of a study: `row` has its figures and intervals; where no seed is given, the first finished one is used.

    Args:
        folder: the study's folder.
        ranking: the score that ranks; None where nothing finished.
        trusts_remote_code: whether its model, once loaded, may run code of its own.
    """

    folder: Path
    row: MethodRow
    ranking: str | None
    trusts_remote_code: bool = False

    @property
    def seeds(self) -> list[int]:
        """The finished seeds."""
        return [run.seed for run in self.row.finished_runs]

    @property
    def quality(self) -> float | None:
        """The mean of the score that ranks; None where no seed has finished."""
        return self.row.figures.get(self.ranking or "")

    def run_folder(self, seed: int | None = None) -> Path:
        """Return the folder of a finished run; raises UserError where there is none."""
        if not self.seeds:
            raise UserError(f"no run of {self.row.row} has finished: {self.row.remark or 'not run yet'}.")
        if seed is not None and seed not in self.seeds:
            raise UserError(
                f"{self.row.row} has no finished run of seed {seed}; it has those of {', '.join(map(str, self.seeds))}."
            )
        return self.folder / run_name(row=self.row.row, seed=self.seeds[0] if seed is None else seed)

    def load(self, seed: int | None = None) -> LoadedRun:
        """Load a run's model, in evaluation mode, and its tokenizer."""
        from hf_peft_compare.inference.loading import load_run

        with quiet(), trusting(self.trusts_remote_code):
            return load_run(self.run_folder(seed))

    def predict(
        self, texts: Sequence[str] | Sequence[tuple[str, str]], *, seed: int | None = None, batch_size: int = 8
    ) -> list[str]:
        """Return what a run predicts of each text, or of each pair of texts."""
        from hf_peft_compare.inference.prediction import predict_texts

        if isinstance(texts, str):
            raise UserError(f"texts is {texts!r}; expected a list of texts, e.g. [{texts!r}].")
        with quiet(), trusting(self.trusts_remote_code):
            found = predict_texts([self.run_folder(seed)], list(texts), batch_size=batch_size)
            return [prediction["prediction"] for prediction in found]

    def export(
        self, folder: str | Path, *, merge: bool = False, push_to_hub: str | None = None, seed: int | None = None
    ) -> Path:
        """Write a run's model as a folder that peft or transformers loads; return the folder.

        Args:
            merge: write a plain transformers model in place of an adapter.
            push_to_hub: a repository "user/name" that it is uploaded to as well.
        """
        from hf_peft_compare.inference.export import export_run

        with quiet(), trusting(self.trusts_remote_code):
            return export_run(self.run_folder(seed), folder, merge=merge, push_to_hub=push_to_hub)

    def __repr__(self) -> str:
        quality = "" if self.quality is None else f", {self.ranking} {self.quality:.4g}"
        return f"<{self.row.label}{quality}; seeds {self.seeds}{'; ' * bool(self.row.remark)}{self.row.remark}>"
