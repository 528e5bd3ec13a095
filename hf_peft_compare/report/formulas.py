"""Formulas of method cards, shown without a network: mathtext in HTML, checked LaTeX in LaTeX, else their source."""

from __future__ import annotations

import re

from hf_peft_compare.report.charts import render_formula
from hf_peft_compare.report.escaping import Raw, cap, escape_latex

LONGEST = 600
# Commands that LaTeX and matplotlib's mathtext both know and that can do nothing but set mathematics.
_COMMANDS = set(
    """alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho sigma tau
    upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar infty partial
    nabla forall exists emptyset in notin subset subseteq supset cup cap setminus times cdot cdots ldots dots vdots
    pm mp div ast star circ bullet oplus otimes odot leq le geq ge neq ne approx sim simeq equiv propto ll gg
    to rightarrow leftarrow leftrightarrow Rightarrow Leftarrow mapsto mid parallel perp top bot dagger prime
    sum prod int frac dfrac tfrac sqrt binom left right hat bar tilde vec dot overline mathrm mathbf mathit mathcal
    mathbb mathsf operatorname text log ln exp min max arg sup inf lim det dim softmax quad qquad langle rangle
    lfloor rfloor lceil rceil lVert rVert vert Vert big Big bigl bigr Bigl Bigr""".split()
) - {"softmax"}
_ALIASES = {
    r"\tfrac": r"\frac",
    r"\lVert": r"\Vert",
    r"\rVert": r"\Vert",
    r"\bigl": "",
    r"\bigr": "",
    r"\Bigl": "",
    r"\Bigr": "",
    r"\big": "",
    r"\Big": "",
}


def formula_svg(latex: str, prefix: str = "") -> str | None:
    """Draw a formula as inline SVG in the color of the text; None where mathtext cannot parse it.

    Args:
        prefix: tells the drawing's ids from those of the same formula elsewhere on the page.
    """
    if not _is_plain_mathematics(latex):
        return None
    source = re.sub(r"\\[A-Za-z]+", lambda match: _ALIASES.get(match.group(), match.group()), latex)
    return render_formula(source, prefix)


def formula_latex(latex: str) -> Raw:
    """Give a formula as LaTeX mathematics; as its escaped source where it is not plain mathematics."""
    if formula_svg(latex) is None:
        return Raw(r"\texttt{" + escape_latex(cap(latex, LONGEST)) + "}")
    return Raw(r"\(" + latex + r"\)")


def formula_markdown(latex: str) -> Raw:
    """Give a formula as GitHub mathematics; as code where it is not plain mathematics."""
    if formula_svg(latex) is not None:
        return Raw(f"$`{latex}`$")
    return Raw("`" + " ".join(re.sub(r"[`|<>\x00-\x1f]", " ", cap(latex, LONGEST)).split()) + "`")


def _is_plain_mathematics(latex: str) -> bool:
    """Say whether a formula has only known commands and no sign with a meaning outside mathematics."""
    if not latex.strip() or len(latex) > LONGEST or not latex.isascii() or not latex.isprintable():
        return False
    if re.search(r"[$%#&~`\"@]|\^\^|\\[^A-Za-z,;:!{}|\s]|\\$", latex):
        return False
    return set(re.findall(r"\\([A-Za-z]+)", latex)) <= _COMMANDS
