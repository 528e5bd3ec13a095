"""Render formulas of method cards without a network: MathML in HTML, checked LaTeX in LaTeX, else their source."""

from __future__ import annotations

import re
from functools import cache
from xml.etree import ElementTree

from hf_peft_compare.report.escaping import Raw, cap, escape_latex

LONGEST = 600
# Commands that both LaTeX and latex2mathml support and that have no effect beyond typesetting mathematics.
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
_DELIMITER = r"\s*(?:[()\[\]|/.]|\\[{}|]|\\(?:[lr]?[vV]ert|[lr]angle|[lr]floor|[lr]ceil)(?![A-Za-z]))"
_NOT_MATHEMATICS = re.compile(
    r"[$%#&~`\"@]|\^\^|\\[^A-Za-z,;:!{}|\s]|\\$"  # has a meaning outside mathematics
    r"|[_^]\s*[_^]"  # LaTeX fails if a script has no base or \big has no delimiter
    rf"|\\[bB]ig[lr]?(?![A-Za-z])(?!{_DELIMITER})"
)
# Commands that latex2mathml supports under another name, and characters that it does not escape.
_ALIASES = ((r"\\arg(?![A-Za-z])", r"\\operatorname{arg}"), ("<", r"\\lt "), (">", r"\\gt "))
_CHILDREN = {"mfrac": 2, "msub": 2, "msup": 2, "msubsup": 3, "munder": 2, "mover": 2, "mroot": 2}


@cache
def formula_mathml(latex: str) -> str | None:
    """Return a formula as MathML, or None if it is not plain mathematics."""
    from latex2mathml.converter import convert

    if not _is_plain_mathematics(latex):
        return None
    source = latex
    for pattern, replacement in _ALIASES:
        source = re.sub(pattern, replacement, source)
    try:
        mathml = convert(source)
        complete = all(
            len(part) == _CHILDREN.get(_tag(part), len(part)) for part in ElementTree.fromstring(mathml).iter()
        )
    except Exception:  # it raises many types on invalid input, StopIteration and IndexError among them
        return None
    return mathml.replace("<math ", '<math displaystyle="true" ', 1) if complete and "\\" not in mathml else None


def _tag(part: ElementTree.Element) -> str:
    return part.tag.rpartition("}")[2]


def formula_latex(latex: str) -> Raw:
    """Return a formula as LaTeX mathematics, or as its escaped source if it is not plain mathematics."""
    if formula_mathml(latex) is None:
        return Raw(r"\texttt{" + escape_latex(cap(latex, LONGEST)) + "}")
    return Raw(r"\(" + latex + r"\)")


def formula_markdown(latex: str) -> Raw:
    """Return a formula as GitHub mathematics, or as code if it is not plain mathematics."""
    if formula_mathml(latex) is not None:
        return Raw(f"$`{latex}`$")
    return Raw("`" + " ".join(re.sub(r"[`|<>\x00-\x1f]", " ", cap(latex, LONGEST)).split()) + "`")


def _is_plain_mathematics(latex: str) -> bool:
    """Whether a formula has only known commands and no character with a meaning outside mathematics."""
    if not latex.strip() or len(latex) > LONGEST or not latex.isascii() or not latex.isprintable():
        return False
    if _NOT_MATHEMATICS.search(latex) or not _is_balanced(latex):
        return False
    return set(re.findall(r"\\([A-Za-z]+)", latex)) <= _COMMANDS


def _is_balanced(latex: str) -> bool:
    """Whether every grouping brace is closed, and none is closed before it is opened."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", latex):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0
