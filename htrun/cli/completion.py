"""Completion in shells: click's, with what it lacks for us."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from click.shell_completion import BashComplete, CompletionItem, add_completion_class, shell_complete

if TYPE_CHECKING:
    import click

_FILES = """\
        elif [[ $type == 'file' ]]; then
            COMPREPLY=()
            compopt -o default
"""
_FILES_TOO = """\
        elif [[ $type == 'file' ]]; then
            compopt -o filenames
            mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
"""


class _Bash(BashComplete):
    """Shows files beside other words, where click's shows them only if there are none."""

    source_template = BashComplete.source_template.replace(_FILES, _FILES_TOO)


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Return that the shell is to complete the names of files."""
    return [CompletionItem(incomplete, type="file")]


def complete_args(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the maps that begin with what was typed after ``@``, or that the shell is to complete files."""
    if not incomplete.startswith("@"):
        return complete_files(ctx, param, incomplete)
    return [CompletionItem(f"@{tag}") for tag in complete_tags(ctx, param, incomplete[1:])]


def complete_tags(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """Return the tags that begin with what was typed."""
    from htrun.settings import load
    from htrun.tags import TagRegistry

    return [tag for tag in TagRegistry(load().tags).tags() if tag.startswith(incomplete)]


def complete_engines(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """Return the engines that begin with what was typed."""
    from htrun.engines.base import engine_names

    return [name for name in engine_names() if name.startswith(incomplete)]


def complete_deliveries(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """Return the delivery methods that begin with what was typed."""
    from htrun.delivery import delivery_names

    return [name for name in delivery_names() if name.startswith(incomplete)]


def complete(cli: click.Command, instruction: str) -> int:
    """Do what the shell's completion asks for in ``_HTRUN_COMPLETE``, and return an exit code.

    What is wrong, with the settings for instance, is not told in the midst of what the user types.
    """
    add_completion_class(_Bash)
    with suppress(Exception):
        return shell_complete(cli, {}, "htrun", "_HTRUN_COMPLETE", instruction)
    return 1
