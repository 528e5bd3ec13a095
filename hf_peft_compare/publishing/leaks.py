"""What must not be published: secrets, paths, and names of hosts and users, found in the text files of a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_peft_compare.core.errors import UserError, shorten
from hf_peft_compare.records.run_folder import RECORD_FILE, STUDY_FILE
from hf_peft_compare.utils.formatting import format_count

SECRET, PATH, STORAGE = "secret", "absolute path", "storage address"
HOST, USER = "host name", "user name"
LOCAL = ("local data set", "local model", "local file")  # which a study names by a relative path too
SECRETS = {
    "Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}\b",
    "W&B key": r"(?i)\bwandb_v\d_\w{20,}|\w*(?:wandb|api_?key)\W[^\n]{0,40}\b[0-9a-f]{40}\b",
    "GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{30,}\b|\bgithub_pat_\w{22,}",
    "AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "Google key": r"\bAIza[\w-]{35}\b",
    "Slack token": r"\bxox[abeoprs]-[\w-]{10,}",
    "API key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "password in an address": r"://[^/\s:@\"']+:[^/\s:@\"']+@",
    SECRET: r"(?i)\b(?:[a-z]+_)?(?:api[_-]?key|secret|password|passwd|(?:access|auth)[_-]?token)\b"
    r"[\"']?\s*[:=]\s*[\"']?[^\s\"',]{8,}",
}
ROOTS = (
    "home Users root tmp var mnt data scratch opt srv work workspace content kaggle lustre gpfs nfs fsx export media "
    "private Volumes project projects usr etc dev/shm"
).replace(" ", "|")
BEFORE, PART = r"(?<![\w:/.<~*$#)\]}+=-])", r"[\w.+@-]+"
ROOTED = rf"{BEFORE}/(?:{ROOTS})(?:/{PART})+"
PATHS = rf"{ROOTED}|(?<![\w/~])~/{PART}(?:/{PART})*|\b[A-Za-z]:(?:\\{{1,2}}[\w .@-]+){{2,}}"
ANY_PATH = rf"{PATHS}|{BEFORE}(?:/{PART}){{2,}}"
STORAGES = r"\b(?:s3|gs|gcs|abfss?|az|hdfs|file)://[^\s\"'<>)]+"
# In prose "/a/b" is no path; in the records and the study's file it is one.
SETTINGS = (RECORD_FILE, STUDY_FILE, "adapter_config.json")
# A path or a name in them is a token, which is neither found nor replaced.
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "added_tokens.json")
REDACTED = "(redacted {})"  # no Hub id, and the same in YAML, JSON, Markdown and HTML
MOST_SHOWN, LONGEST = 8, 90
SCRIPT = re.compile(r"<script\b.*?</script>|data:[\w/+.-]+;[\w;=-]*base64,[\w+/=]*", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Leak:
    """What a file to be published says and should not.

    Args:
        file, line: where; lines count from 1.
        kind: what it is.
        text: what it says.
    """

    file: str
    line: int
    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Scrubber:
    """Replaces texts in what will be published.

    Args:
        replaced: (pattern, its replacement), in order.
    """

    replaced: Sequence[tuple[re.Pattern[str], str]] = ()

    def text(self, text: str) -> str:
        """Return a text with its replacements."""
        for pattern, new in self.replaced:
            text = pattern.sub(lambda _, new=new: new, text)  # type: ignore[misc]
        return text

    def mapping(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return a dictionary with all texts in it replaced, at any depth; keys stay."""
        return {key: self._any(value) for key, value in values.items()}

    def _any(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self.mapping(value)
        return [self._any(inner) for inner in value] if isinstance(value, list) else value


def exactly(text: str) -> re.Pattern[str]:
    """Return the pattern of a name or a path, where it is not a part of a longer one."""
    return re.compile(rf"(?<![\w/.-]){re.escape(text)}(?![\w/-]|\.\w)")


def _pattern_of(text: str, kind: str) -> re.Pattern[str]:
    """Return the pattern of a private text; of a folder, with what is in it."""
    return re.compile(rf"(?<![\w/.-]){re.escape(text)}(?:/{PART})*(?![\w-])") if kind == PATH else exactly(text)


def redactions(names: Mapping[str, str]) -> list[tuple[re.Pattern[str], str]]:
    """Return what replaces paths, and names of hosts and users, by placeholders; secrets are never redacted.

    Args:
        names: {private text: its kind}.
    """
    longest = sorted(names, key=len, reverse=True)
    known = [
        (_pattern_of(text, names[text]), REDACTED.format(_word(names[text])))
        for text in longest
        if names[text] not in SECRETS
    ]
    formed = [(STORAGES, "path"), (ANY_PATH, "path")]
    return [*known, *((re.compile(pattern), REDACTED.format(word)) for pattern, word in formed)]


def _word(kind: str) -> str:
    return {HOST: "host", USER: "user"}.get(kind, "path")


def find_leaks(folder: Path, names: Mapping[str, str]) -> list[Leak]:
    """Return every leak in the text files of a folder, in the order of files and lines.

    Args:
        names: {private text: its kind}, looked for beside what is private by its form.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [leak for path in files for leak in _leaks_of(path, str(path.relative_to(folder)), names)]


def _leaks_of(path: Path, name: str, names: Mapping[str, str]) -> list[Leak]:
    content = path.read_bytes()
    if b"\0" in content[:8_192]:
        return []  # no text: weights, pictures
    text = content.decode("utf-8", "replace")
    if path.suffix == ".html":  # its scripts are this package's; what they draw is in the records
        text = SCRIPT.sub(lambda found: "\n" * found.group().count("\n"), text)
    found: dict[tuple[int, int], tuple[str, str]] = {}
    for kind, pattern in _patterns_for(path.name, names):
        for match in pattern.finditer(text):
            if not any(start < match.end() and match.start() < end for start, end in found):  # the first kind counts
                found[match.span()] = kind, match.group()
    return [
        Leak(file=name, line=text.count("\n", 0, start) + 1, kind=kind, text=words)
        for (start, _), (kind, words) in sorted(found.items())
    ]


def _patterns_for(name: str, names: Mapping[str, str]) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield the kinds and patterns to look for in a file of this name, the most telling first."""
    for kind, pattern in SECRETS.items():
        yield kind, re.compile(pattern)
    vocabulary = name in VOCABULARIES
    for text in sorted(names, key=len, reverse=True):
        if not (vocabulary and names[text] in (HOST, USER)):  # there it is a token
            yield names[text], _pattern_of(text, names[text])
    if not vocabulary:
        yield STORAGE, re.compile(STORAGES)
        yield PATH, re.compile(ANY_PATH if name in SETTINGS else PATHS)


def check_leaks(folder: Path, names: Mapping[str, str]) -> None:
    """Raise UserError that lists all leaks of a folder by file, line and kind, with what to do; none: return."""
    leaks = find_leaks(folder, names)
    if not leaks:
        return
    places: dict[tuple[str, str], list[Leak]] = {}
    for leak in leaks:
        places.setdefault((leak.kind, leak.text), []).append(leak)
    lines = [_describe(found) for found in list(places.values())[:MOST_SHOWN]]
    if len(places) > MOST_SHOWN:
        lines.append(f"and {format_count(len(places) - MOST_SHOWN)} more")
    raise UserError("\n  ".join([_heading(len(leaks)), *lines]) + "\n" + _way_out({leak.kind for leak in leaks}))


def _heading(number: int) -> str:
    return f"nothing was published: {format_count(number)} places in it should stay private"


def _describe(found: Sequence[Leak]) -> str:
    first = found[0]
    text = f"{first.text[:4]}…" if first.kind in SECRETS else shorten(first.text, LONGEST)
    more = f" (and {format_count(len(found) - 1)} more places)" if len(found) > 1 else ""
    return f"{first.file}:{first.line}: {first.kind}: {text}{more}"


def _way_out(kinds: set[str]) -> str:
    said = []
    if kinds & SECRETS.keys():
        said.append("Remove what is secret from the study and its data, revoke it, and run the study again.")
    if kinds - SECRETS.keys():
        said.append(
            "Name what a path is on the Hub: --hub-id PATH=NAMESPACE/NAME. Or replace all paths, hosts and users by "
            "placeholders: --redact."
        )
    return " ".join(said)
