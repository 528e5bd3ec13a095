"""Escape text from data, models and configs for each page format.

jinja2 escapes HTML; this module handles everything else that a page must not interpret.
"""

from __future__ import annotations

import re
import unicodedata

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Raw(str):
    """Text that is already in the language of the page and must not be escaped again."""


def visible(text: object) -> str:
    """Replace control characters by their symbols, and drop marks that change the direction of the following text."""
    plain = str(text).replace("\r\n", "\n").replace("\r", "\n")
    return _DIRECTION.sub("", _CONTROL.sub(_picture, plain))


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def cap(text: object, length: int) -> str:
    """Cut a text that is longer than `length` characters, and append the number of characters cut."""
    plain = str(text)
    if len(plain) <= length:
        return plain
    return f"{plain[:length].rstrip()} … [{len(plain) - length:,} more characters cut]"


# --- Markdown -------------------------------------------------------------------------------------------------

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$:@^=-])")


def escape_markdown(text: object) -> str:
    """Escape a text for one line of GitHub's Markdown, table cells included."""
    if isinstance(text, Raw):
        return str(text)
    plain = " ".join(visible(text).split())
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(_escape_markdown_character, plain)


def fenced(text: object) -> Raw:
    """Return a text as a block of Markdown that is shown as it is, line by line, whatever it contains."""
    plain = visible(text)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", plain)), default=0))
    return Raw(f"{fence}text\n{plain}\n{fence}")


def _escape_markdown_character(match: re.Match[str]) -> str:
    """Escape a character only where Markdown interprets it: most punctuation inside words and numbers is plain."""
    character, text, place = match.group(), match.string, match.start()
    if character in "-+=#" and place > 0:
        return character
    if character == ":" and text[place : place + 3] != "://":
        return character
    if character in "()" and "](" not in text:
        return character
    if character in "!^@" and text[place + 1 : place + 2] != "[":
        return character
    return "\\" + character


# --- LaTeX ----------------------------------------------------------------------------------------------------

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_\allowbreak{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": r"{[}",
    "]": r"{]}",
    "*": r"{*}",
    "/": r"/\allowbreak{}",
    "\t": " ",
    "\u00a0": "~",
    "\u00ad": "",
    "\u2009": r"\,",
    "\u202f": r"\,",
    "\u2010": "-{}",
    "\u2011": "-{}",
    "–": "--{}",
    "—": "---{}",
    "−": r"\ensuremath{-}",
    "‘": "`{}",
    "’": "'{}",
    "“": "``{}",
    "”": "''{}",
    "…": r"\ldots{}",
    "•": r"\textbullet{}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "±": r"\ensuremath{\pm}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "≈": r"\ensuremath{\approx}",
    "→": r"\ensuremath{\rightarrow}",
    "↑": r"\ensuremath{\uparrow}",
    "↓": r"\ensuremath{\downarrow}",
    "∈": r"\ensuremath{\in}",
    "∞": r"\ensuremath{\infty}",
    "²": r"\textsuperscript{2}",
    "³": r"\textsuperscript{3}",
    "⁶": r"\textsuperscript{6}",
    "€": r"\texteuro{}",
    "↵": r"\ensuremath{\hookleftarrow}",
}
_GREEK = (
    "α alpha β beta γ gamma δ delta ε varepsilon η eta θ theta λ lambda μ mu π pi ρ rho σ sigma τ tau φ phi ω omega"
)
_LATEX.update(
    {sign: rf"\ensuremath{{\{name}}}" for sign, name in zip(_GREEK.split()[::2], _GREEK.split()[1::2], strict=True)}
)
# Characters in T1 fonts: Latin letters of Western and Central European languages, and a few symbols.
_SETTABLE = set(map(chr, range(0x20, 0x7F))) | set(
    "¡¿£§©®°ÄÅÆÇÉÑÖØÜßÀÁÂÃÈÊËÌÍÎÏÐÒÓÔÕÙÚÛÝÞ"
    "àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ"
    "ĂăĄąĆćČčĎďĐđĘęĚěĞğİıŁłŃńŇňŐőŒœŔŕŘřŚśŞşŠšŢţŤťŮůŰűŸŹźŻżŽž"
) - set("Ţţ")
_UNSETTABLE_RUN = re.compile("\x00+(?: +\x00+)*")
_LONG_WORD = re.compile(r"\S{40}(?=\S)")


def escape_latex(text: object) -> str:
    """Escape a text for LaTeX; characters that pdflatex cannot typeset become placeholders such as [U+1F600].

    A sequence of such characters becomes one placeholder, and long words may be broken anywhere.
    """
    if isinstance(text, Raw):
        return str(text)
    plain = unicodedata.normalize("NFC", visible(text))
    plain = _LONG_WORD.sub(lambda match: match.group() + "\u200b", plain)
    masked = "".join(character if _is_settable(character) else "\x00" for character in plain)
    parts, end = [], 0
    for match in _UNSETTABLE_RUN.finditer(masked):
        parts.append(_escape_settable(plain[end : match.start()]))
        parts.append(_placeholder(plain[match.start() : match.end()]))
        end = match.end()
    return "".join([*parts, _escape_settable(plain[end:])])


def _is_settable(character: str) -> bool:
    return character in _SETTABLE or character in _LATEX or character in "\n\u200b"


def _escape_settable(text: str) -> str:
    apart = re.sub(
        r"([-,'])(?=\1)", "\\1\u200c", re.sub(r"\s*\n\s*", " ", text)
    )  # otherwise TeX forms ligatures: -- ,, ''
    joined = "".join(_LATEX.get(character, character) for character in apart)
    return joined.replace("\u200b", r"\allowbreak{}").replace("\u200c", "{}")


def _placeholder(run: str) -> str:
    code = f"U+{ord(run[0]):04X}"
    return "{[}" + (code if len(run) == 1 else f"{code} and {len(run) - 1} more") + "{]}"
