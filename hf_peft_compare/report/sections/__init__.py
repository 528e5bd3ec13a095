"""The sections of the report, one file each; plugins add more by entry points, `--plugin` and `register_section`."""

from hf_peft_compare.core.registry import Registry
from hf_peft_compare.report.blocks import Section

SECTIONS = Registry[Section](
    Section, what="section", package="hf_peft_compare.report.sections", group="hf_peft_compare.sections"
)
register_section = SECTIONS.register
