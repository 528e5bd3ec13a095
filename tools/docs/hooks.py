"""What mkdocs calls: generated parts, copies of the repository's files that pages link to, formulas as MathML."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:  # mkdocs loads this file by its path
    sys.path.insert(0, str(ROOT))

from hf_peft_compare.report.formulas import formula_mathml  # noqa: E402
from tools.docs.fragments import filled  # noqa: E402
from tools.docs.links import DOCS, outside_links, relinked  # noqa: E402

FORMULA = re.compile(r"\$<code>(.*?)</code>\$")  # GitHub's mathematics, as Markdown renders it


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository that pages link to, and those that these link to."""
    pages = [*files.documentation_pages()]
    for page in pages:
        for path in outside_links(_place(page), filled(page.content_string)):
            if files.get_file_from_path(path) is None:
                copy = File(path, str(ROOT), config.site_dir, config.use_directory_urls)
                files.append(copy)
                pages += [copy] if copy.is_documentation_page() else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what is generated, and point links out of `docs/` at the copies in the site."""
    return relinked(_place(page.file), filled(markdown))


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Set formulas without a script: browsers render MathML."""
    return FORMULA.sub(lambda match: formula_mathml(html.unescape(match[1])) or match[0], content)


def _place(file: File) -> str:
    """Return a page's path from the top of the repository."""
    return file.src_uri if file.src_dir == str(ROOT) else f"{DOCS}/{file.src_uri}"
