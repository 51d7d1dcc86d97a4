"""What can be completed, to be asked by shells; see ``shells``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

TARGET = "target"
"""The type of a completion for which the shell completes files, and lets the user type a function behind one."""


def _item(value: str, type_: str = "plain") -> CompletionItem:
    from click.shell_completion import CompletionItem  # only now: no command needs it

    return CompletionItem(value, type=type_)


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Return that the shell is to complete the names of files."""
    return [_item(incomplete, "file")]


def complete_targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Return the functions of the file or the module that was typed, which is not imported, or ask for files."""
    where, colon, name = incomplete.rpartition(":")
    if not colon:
        if not (incomplete.endswith(".py") and Path(incomplete).expanduser().is_file()):
            return [_item(incomplete, TARGET)]
        where, name = incomplete, ""
    from htrun.targets import function_names

    return [_item(f"{where}:{found}") for found in function_names(where) if found.startswith(name)]


def complete_args(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the maps that begin with what was typed behind ``@``; without one, ask for files."""
    if not incomplete.startswith("@"):
        return complete_files(ctx, param, incomplete)
    tag, colon, part = incomplete.partition(":")
    if not colon:
        return [_item(f"@{found}") for found in complete_tags(ctx, param, tag[1:])]
    from htrun.chaining import COMPLETED

    return [_item(f"{tag}:{COMPLETED}")] if COMPLETED.startswith(part) else []


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
