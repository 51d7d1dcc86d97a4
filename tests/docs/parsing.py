"""What can be told of blocks that cannot be run here: that shells, Python and htrun's own parser understand them."""

from __future__ import annotations

import ast
import doctest
import json
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from htrun.cli import cli
from tests.docs.sessions import is_doctest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docs.blocks import Block

_OPERATORS = set("();<>|&")
_INSTRUCTIONS = {"FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "USER", "WORKDIR", "CMD", "ENTRYPOINT", "LABEL"}


def parse(block: Block) -> str | None:
    """Return what is wrong with a block, None if nothing can be seen to be."""
    parsers = {"python": _python, "console": _console, "toml": _toml, "json": _json, "dockerfile": _dockerfile}
    if block.language == "text":
        return None
    if block.language not in parsers:
        known = ", ".join(sorted([*parsers, "text"]))
        return f"{block.language!r} is not a language that is known here ({known}): give the block a file's name"
    return parsers[block.language](block)


def _python(block: Block) -> str | None:
    text = block.text
    if is_doctest(text):
        text = "".join(example.source for example in doctest.DocTestParser().get_examples(text))
    try:
        ast.parse(text)
    except SyntaxError as error:
        return str(error)
    return None


def _toml(block: Block) -> str | None:
    try:
        tomllib.loads(block.text)
    except tomllib.TOMLDecodeError as error:
        return str(error)
    return None


def _json(block: Block) -> str | None:
    """Take a document, or a line each."""
    for texts in ([block.text], block.text.splitlines()):
        try:
            for text in texts:
                json.loads(text)
        except ValueError as error:
            wrong = str(error)
        else:
            return None
    return wrong


def _dockerfile(block: Block) -> str | None:
    logical = re.sub(r"\\\n", " ", block.text).splitlines()
    words = {line.split()[0] for line in logical if line.strip() and not line.startswith("#")}
    return f"no instructions: {words - _INSTRUCTIONS}" if words - _INSTRUCTIONS else None


def _console(block: Block) -> str | None:
    for command in block.commands():
        done = subprocess.run(["bash", "-n", "-c", command.text], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return done.stderr
        for words in _simple_commands(command.text):
            if words[0] == "htrun" and (wrong := _htrun(words[1:])):
                return f"line {command.line}: {shlex.join(words)}: {wrong}"
    return None


def _simple_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command of a line for the shell, without those that set variables."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for token in [*lexer, ";"]:
        if set(token) <= _OPERATORS:
            if words:
                yield words
            words = []
        elif words or not re.match(r"\w+=", token):
            words.append(token)


def _htrun(words: list[str]) -> str | None:
    """Return what htrun would say of its options and arguments before it does anything; files need not be there."""
    try:
        context = cli.make_context("htrun", list(words))
        command: click.Command = cli
        while isinstance(command, click.Group):
            name, found, rest = command.resolve_command(context, _rest(context))
            assert found is not None
            command, context = found, found.make_context(name, rest, parent=context)
    except click.exceptions.Exit:  # of --help and --version
        return None
    except click.ClickException as error:
        return error.format_message()
    return None


def _rest(context: click.Context) -> list[str]:
    """Return the words that a group has left for its subcommand."""
    kept = vars(context)  # click 9 has all of them in args, and before that reading the other one warns
    return [*kept.get("_protected_args", kept.get("protected_args", ())), *context.args]
