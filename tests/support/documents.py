"""The project's documents as data: their tables, code blocks, command lines and links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CELL = re.compile(r"(?<!\\)\|")
_OPERATORS = frozenset(("|", "||", "&&", ";", "&", "(", ")"))
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


class Block(NamedTuple):
    """A fenced block of a document."""

    language: str
    text: str


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def read(path: str | Path) -> str:
    """A document's text; a relative path starts at the project's root."""
    return (ROOT / path).read_text("utf-8")


def blocks(text: str) -> list[Block]:
    """The fenced code blocks."""
    return [Block(*match.groups()) for match in _FENCE.finditer(text)]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text)


def section(text: str, title: str) -> str:
    """What stands under the heading `title`, up to the next heading of its level."""
    parts = re.split(rf"^(#+) {re.escape(title)}$", text, maxsplit=1, flags=re.MULTILINE)
    if len(parts) != 3:
        raise LookupError(f"there is no heading {title!r}")
    return re.split(rf"^#{{1,{len(parts[1])}}} ", parts[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, without heads and rulers."""
    lines = [line for line in prose(text).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in _CELL.split(line.strip().strip("|"))] for line in lines]
    rulers = {at for at, row in enumerate(cells) if all(set(cell) <= set("-: ") and "-" in cell for cell in row)}
    return [row for at, row in enumerate(cells) if at not in rulers and at + 1 not in rulers]


def spans(cell: str) -> list[str]:
    """What stands between backticks."""
    return _SPAN.findall(cell)


def links(text: str) -> list[str]:
    """The targets of the links."""
    return _LINK.findall(prose(text))


def anchors(text: str) -> set[str]:
    """The anchors that a document's headings make."""
    titles = _HEADING.findall(prose(text))
    return {_NOT_IN_ANCHORS.sub("", title.replace("`", "").lower()).replace(" ", "-") for title in titles}


def commands(text: str) -> Iterator[list[str]]:
    """Every simple command of the shell blocks, as words."""
    for block in blocks(text):
        if block.language == "sh":
            yield from shell_commands(block.text)


def shell_commands(script: str) -> Iterator[list[str]]:
    """The simple commands of a script; what assigns, redirects or joins is taken off."""
    lexer = shlex.shlex(script.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars="();&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _OPERATORS:
            command.append(word)
            continue
        while command and (_ASSIGNMENT.match(command[0]) or command[0] in ("do", "sudo")):
            command.pop(0)
        if command:
            yield command
        command = []
