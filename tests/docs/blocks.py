"""The code blocks of a page, as markdown-it-py finds them, and what comments before them say of how they are run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from markdown_it import MarkdownIt
from mdit_py_plugins.front_matter import front_matter_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from markdown_it.token import Token

_COMMENT = re.compile(r"<!--\s*test:\s*(.*?)\s*-->", re.DOTALL)
_DIRECTIVE = re.compile(r"\{([\w:-]+)\}\s*(.*)")
_OPTION = re.compile(r":([\w-]+):\s*(.*)")
# Directives of the site without code in them; what is in others has to be a block of its own.
_PLAIN_DIRECTIVES = {
    "toctree",
    "click",
    "click:command",
    "autofunction",
    "autoclass",
    "automodule",
    "image",
    "figure",
    "include",
}


class PageError(Exception):
    """A page is not written as its test needs it; the message begins with page and line."""


class Command(NamedTuple):
    """A line for the shell, and what is shown of its output: None if nothing is."""

    line: int
    text: str
    output: list[str] | None


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes
    ----------
    page : str
        The page's name, for messages.
    line : int
        Where its content begins, from 1.
    language : str
    text : str
    file : str or None
        The name of the file that it is.
    engine : str or None
        Where it runs, if the page says so.
    parse_only : str or None
        Why it cannot be run.
    """

    page: str
    line: int
    language: str
    text: str
    file: str | None = None
    engine: str | None = None
    parse_only: str | None = None

    @property
    def place(self) -> str:
        """Where it is, as compilers say it."""
        return f"{self.page}:{self.line}"

    def commands(self) -> list[Command]:
        """Return the commands of a block of the language console.

        Raises
        ------
        PageError
            If it does not begin with one.
        """
        found: list[Command] = []
        lines = list(enumerate(self.text.splitlines(), self.line))
        while lines:
            number, text = lines.pop(0)
            if text.startswith("$ "):
                words = [text[2:]]
                while lines and (words[-1].endswith("\\") or lines[0][1] == ">" or lines[0][1].startswith("> ")):
                    words.append(re.sub(r"^>( |$)", "", lines.pop(0)[1]))
                found.append(Command(number, "\n".join(words), None))
            elif not found:
                raise PageError(f"{self.page}:{number}: a block of the language console begins with '$ COMMAND'")
            else:
                found[-1] = found[-1]._replace(output=[*(found[-1].output or []), text])
        return found


@dataclass
class _Remarks:
    """What comments have said: of the page, and of the block that comes next."""

    page: str
    engine: str | None = None
    next_engine: str | None = None
    parse_only: str | None = None
    file: str | None = None
    line: int = 0
    blocks: int = field(default=0)

    def read(self, text: str, line: int) -> None:
        for remark in _COMMENT.findall(text):
            self.line = line
            word, _, rest = remark.partition(" ")
            if word.startswith("engine=") and not rest:
                self.next_engine = word.removeprefix("engine=")
                if self.blocks == 0 and line <= 2:
                    self.engine = self.next_engine
            elif word == "only-parse" and rest:
                self.parse_only = rest
            elif word == "file" and rest:
                self.file = rest
            else:
                raise PageError(
                    f"{self.page}:{line}: 'test: {remark}' is none of 'engine=NAME', 'file NAME' and 'only-parse REASON'"
                )

    def end(self) -> None:
        """Refuse what was said of a block that has not come."""
        if self.parse_only or self.file or (self.next_engine and not self.engine):
            raise PageError(f"{self.page}:{self.line}: no block follows this comment")

    def take(self) -> dict[str, str | None]:
        """Return what is said of a block, and forget it."""
        said = {"engine": self.next_engine or self.engine, "parse_only": self.parse_only, "file": self.file}
        self.next_engine = self.parse_only = self.file = None
        self.blocks += 1
        return said


def read_blocks(path: Path, name: str) -> list[Block]:
    """Return the blocks of a page in their order.

    Parameters
    ----------
    path : Path
    name : str
        What the page is called in messages.

    Raises
    ------
    PageError
        If a block has no language, or a comment says what is not known.
    """
    remarks = _Remarks(name)
    found = list(_blocks(path.read_text(encoding="utf-8"), 1, remarks))
    remarks.end()
    return found


def _blocks(text: str, first: int, remarks: _Remarks) -> Iterator[Block]:
    tokens = MarkdownIt("commonmark").use(front_matter_plugin).parse(text)
    for token in tokens:
        line = first + (token.map[0] if token.map else 0)
        if token.type == "html_block":
            remarks.read(token.content, line)
        elif token.type == "code_block":
            raise PageError(f"{remarks.page}:{line}: code that is only indented: put it between ``` with a language")
        elif token.type == "fence":
            yield from _fence(token, line, remarks)
        elif token.type == "heading_open":
            remarks.end()


def _fence(token: Token, line: int, remarks: _Remarks) -> Iterator[Block]:
    language, text, file = token.info.strip(), token.content, None
    if directive := _DIRECTIVE.fullmatch(language):
        name, language = directive[1], directive[2]
        if name in _PLAIN_DIRECTIVES:
            return
        if name not in ("code-block", "code", "sourcecode"):
            yield from _blocks(text, line + 1, remarks)  # of a note, say
            return
        lines = text.splitlines(keepends=True)
        while lines and (option := _OPTION.fullmatch(lines[0].strip())):
            file = option[2] if option[1] == "caption" else file
            del lines[0]
            line += 1
        if lines and not lines[0].strip():
            del lines[0]
            line += 1
        text = "".join(lines)
    if not language:
        raise PageError(f"{remarks.page}:{line}: a block without a language; 'text' is what is not run")
    said = remarks.take()
    yield Block(remarks.page, line + 1, language, text, **{**said, "file": file or said["file"]})
