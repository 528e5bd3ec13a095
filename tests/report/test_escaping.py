"""What escaping does to single texts and formulas."""

from __future__ import annotations

import pytest

from hf_peft_compare.report.escaping import cap, escape_latex, escape_markdown, fenced, visible
from hf_peft_compare.report.formulas import formula_latex, formula_markdown, formula_mathml


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50 % & more_x", r"50 \% \& more\_\allowbreak{}x"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("😀", "{[}U+1F600{]}"),
        ("شكرا جزيلا", "{[}U+0634 and 9 more{]}"),
        ("café Žižek", "café Žižek"),
        ("e\u0301", "é"),
        ("a--b", "a-{}-b"),
        ("well-known", "well-known"),
        ("a\n\nb", "a b"),
        ("^^5c", r"\textasciicircum{}\textasciicircum{}5c"),
    ],
)
def test_latex(text: str, expected: str) -> None:
    assert escape_latex(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a | b", r"a \| b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("# no heading\n- no list", r"\# no heading - no list"),
        ("lora_r8", r"lora\_r8"),
        ("0.5 (95 %)", "0.5 (95 %)"),
        ("- 1", r"\- 1"),
        ("[x](javascript:1)", r"\[x\]\(javascript:1\)"),
    ],
)
def test_markdown(text: str, expected: str) -> None:
    assert escape_markdown(text) == expected


def test_control_characters_become_their_pictures() -> None:
    assert visible("a\x00b\x1bc\x7f") == "a\u2400b\u241bc\u2421"
    assert visible("a\u202eb\ud800") == "ab\ufffd"
    assert visible("a\r\nb\tc") == "a\nb\tc"


def test_cut_texts_say_how_much_is_missing() -> None:
    assert cap("x" * 10, 10) == "x" * 10
    assert cap("x" * 1500, 100) == "x" * 100 + " … [1,400 more characters cut]"


@pytest.mark.parametrize(
    "latex",
    [
        r"W x + \frac{\alpha}{r} B A x, \quad A \in \mathbb{R}^{r \times k}, \ B \in \mathbb{R}^{d \times r}",
        r"p_\theta(y \mid [P; E(x)]), \quad P \in \mathbb{R}^{P \times H} \text{ trained}, \ \theta \text{ frozen}",
        r"\theta^\ast = \arg\min_\theta \sum_{(x, y)} -\log p_\theta(y \mid x)",
    ],
)
def test_plain_mathematics_is_set(latex: str) -> None:
    mathml = formula_mathml(latex)
    assert mathml is not None and mathml.startswith("<math") and "\\" not in mathml
    assert formula_latex(latex) == rf"\({latex}\)"


@pytest.mark.parametrize(
    "latex",
    [
        r"\input{/etc/passwd}",
        r"\frac{",
        "x^2^3",
        "$x$",
        "x^^5cinput",
        r"\def\x{}",
        "α",
        r"x \\ y",
        "",
        r"\) \relax \(",
        "{x",
        "x}",
        "x^_2",
        r"\binom{n}",
        r"\bigl x",
        r"\left( x",
        r"\text{<script>}",
        r"\text{a & b}",
    ],
)
def test_anything_else_stays_source(latex: str) -> None:
    assert formula_mathml(latex) is None
    assert formula_latex(latex).startswith(r"\texttt{")
    assert formula_markdown(latex).startswith("`")


def test_every_method_card_of_the_package_can_be_drawn() -> None:
    from hf_peft_compare.core.registry import METHODS

    formulas = {name: method.card.formula for name, method in METHODS.entries.items()}
    assert [name for name, formula in formulas.items() if formula_mathml(formula) is None] == []


@pytest.mark.parametrize("text", ["name: x\n  a: 1\n", "```\n</details>\n````` end", "<script>\r\n# x", ""])
def test_a_fenced_text_keeps_its_lines_and_cannot_leave_its_fence(text: str) -> None:
    first, *lines, last = fenced(text).split("\n")
    assert first == f"{last}text" and set(last) == {"`"} and len(last) >= 3
    assert "\n".join(lines) == visible(text)
    assert last not in "\n".join(lines)
