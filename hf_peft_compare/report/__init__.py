"""The comparison becomes pages: HTML, Markdown, LaTeX, CSV, figures. No torch on this side of the wall."""

from hf_peft_compare.report.writing import write_report

__all__ = ["write_report"]
