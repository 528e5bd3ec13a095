"""Write the comparison as HTML, Markdown, LaTeX, CSV and figures. Nothing here imports torch."""

from hf_peft_compare.report.writing import write_report

__all__ = ["write_report"]
