"""Commands for htrun itself: its settings, its log file, completion, transplants."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from htrun import keys
from htrun.cli.completion import complete_deliveries, complete_engines
from htrun.delivery import delivery_names
from htrun.engines.base import engine_names
from htrun.exceptions import ExitCode, HtrunError, UsageError
from htrun.layers import USER_FILE, parse_toml, read_text
from htrun.logs import log_file
from htrun.settings import USER_SETTINGS, load
from htrun.settings import settings as all_settings
from htrun.store import atomic_write
from htrun.transplant import transplant_info
from htrun.transplant import transplants as all_transplants

if TYPE_CHECKING:
    from collections.abc import Mapping


def complete_settings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """Return the settings that begin with what was typed."""
    return [name for name in (*keys.KEYS, f"{keys.OPTIONS}.") if name.startswith(incomplete.upper())]


def complete_values(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return what the setting that was typed may be, where that is one of a few."""
    name = keys.normal(ctx.params.get("setting") or "")
    if name == "ENGINE":
        return complete_engines(ctx, param, incomplete)
    if name == "DELIVERY_METHOD":
        return complete_deliveries(ctx, param, incomplete)
    flags = ("true", "false") if name in keys.KEYS and keys.KEYS[name].wants == keys.FLAG else ()
    return [word for word in flags if word.startswith(incomplete)]


@click.command("settings")
@click.option("--user", is_flag=True, help=f"Only what is in {USER_FILE}.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def show_settings(user: bool, format_: str) -> ExitCode:
    """Show the settings, and where each of them comes from.

    \b
    Example:
      htrun settings
      htrun settings --format json | jq -r .HTRUN_DIR.value
    """
    chain = USER_SETTINGS if user else all_settings
    rows = {name: (value, chain.origin(name)) for name, value in sorted(_flat(chain.to_dict()))}
    if format_ == "json":
        table = {name: {"value": value, "origin": origin} for name, (value, origin) in rows.items()}
        click.echo(json.dumps(table, indent=2, ensure_ascii=False))
        return ExitCode.OK
    texts = [(name, _text(value), origin) for name, (value, origin) in rows.items()]
    widths = [max((len(row[column]) for row in texts), default=0) for column in (0, 1)]
    for name, text, origin in texts:
        click.echo(f"{name:{widths[0]}}  {text:{widths[1]}}  {origin}")
    return ExitCode.OK


def _flat(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the settings of a table by their dotted names; a table within a section is a value."""
    flat: list[tuple[str, Any]] = []
    for name, value in table.items():
        if name in keys.SECTIONS:
            flat += [(f"{name}.{inner}", inner_value) for inner, inner_value in value.items()]
        else:
            flat.append((name, value))
    return flat


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@click.command("set")
@click.argument("setting", shell_complete=complete_settings)
@click.argument("value", shell_complete=complete_values)
def set_setting(setting: str, value: str) -> ExitCode:
    """Change a setting in ~/.htrunrc; comments there stay.

    \b
    Example:
      htrun set ENGINE local
      htrun set MAP_OPTIONS.REQUEST_MEMORY 4GB
    """
    name = keys.find(setting)
    parsed = keys.parse(name, value)
    if name in keys.KEYS and keys.KEYS[name].wants == keys.PATH and not parsed.startswith("~"):
        parsed = str(Path(parsed).absolute())  # as it was meant here
    path = Path(USER_FILE).expanduser() if os.path.expanduser("~") != "~" else None  # noqa: PTH111
    if path is None:
        raise UsageError(f"you have no home directory, so there can be no {USER_FILE}")
    with atomic_write(path) as file:
        file.write(_changed(read_text(str(path)) or "", str(path), name, "" if parsed is None else parsed))
    click.echo(f"{USER_FILE}: {name} = {json.dumps('' if parsed is None else parsed, ensure_ascii=False)}", err=True)
    for names, of in ((engine_names, "ENGINE"), (delivery_names, "DELIVERY_METHOD")):
        # No error: the home directory may be shared with machines where more is installed.
        known = str(parsed).partition(":")[0] if of == "DELIVERY_METHOD" else parsed
        if name == of and known not in names():
            click.echo(f"htrun: note: there is no {known!r} here; there are {', '.join(names())}", err=True)
    with suppress(HtrunError):  # what is wrong elsewhere is told by the commands that it hinders
        origin = all_settings.origin(name)
        if origin not in (USER_FILE, "default") and all_settings[name] != parsed:
            click.echo(f"htrun: note: {origin} says otherwise, and counts more here", err=True)
    return ExitCode.OK


def _changed(text: str, path: str, name: str, value: Any) -> bytes:
    """Return the text of a file of settings with one of them changed."""
    import tomlkit

    keys.check_all(parse_toml(text, path), path)  # what is wrong with it already is told as ever
    document = tomlkit.parse(text)
    table: Any = document
    *sections, last = name.split(".")
    for section in sections:
        found = _as_typed(table, section)
        if found not in table:
            table[found] = tomlkit.table()
        table = table[found]
    table[_as_typed(table, last)] = value
    changed = tomlkit.dumps(document)
    keys.check_all(parse_toml(changed, path), path)
    return changed.encode("utf-8")


def _as_typed(table: Mapping[str, Any], key: str) -> str:
    """Return a key as it is in the table already, where it may be in small letters."""
    return next((str(known) for known in table if str(known).upper() == key.upper()), key)


@click.command()
@click.option("--view/--no-view", default=False, show_default=True, help="Show the file itself.")
def logs(view: bool) -> ExitCode:
    """Show where the log file is, or what is in it. Older ones are beside it.

    \b
    Example:
      htrun logs --view | tail
    """
    path = log_file(load())
    if not view:
        click.echo(path)
        return ExitCode.OK
    try:
        with path.open("rb") as file:
            sys.stdout.flush()
            shutil.copyfileobj(file, sys.stdout.buffer)
    except FileNotFoundError:
        click.echo("htrun: note: nothing was logged yet", err=True)
    return ExitCode.OK


_ACTIVATIONS = {
    "bash": ("~/.bashrc", 'eval "$(_HTRUN_COMPLETE=bash_source htrun)"'),
    "zsh": ("~/.zshrc", 'eval "$(_HTRUN_COMPLETE=zsh_source htrun)"'),
    "fish": ("~/.config/fish/completions/htrun.fish", "_HTRUN_COMPLETE=fish_source htrun | source"),
}
"""Where a shell looks for what it is to do, and what that is."""


@click.command()
@click.option("--shell", type=click.Choice(list(_ACTIVATIONS), case_sensitive=False), required=True, help="Your shell.")
@click.option("--force", is_flag=True, help="Append the command even if it is there already.")
@click.option(
    "--destination",
    type=click.Path(dir_okay=False),
    help="Append it to this file, not to the one that your shell reads.",
)
def autocompletion(shell: str, force: bool, destination: str | None) -> ExitCode:
    """Have your shell complete commands, files and tags.

    It does so from its next start, and completes options, their values and settings too.

    It appends a command to the file that the shell reads when it starts. In that shell, htrun has to be on the PATH by
    then.

    \b
    Example:
      htrun autocompletion --shell bash
    """
    default, line = _ACTIVATIONS[shell]
    path = Path(os.path.expanduser(destination or default))  # noqa: PTH111
    if str(path).startswith("~"):
        raise UsageError("you have no home directory: say with --destination which file to append to")
    text = path.read_bytes() if path.exists() else b""
    if not force and line.encode() in (known.strip() for known in text.splitlines()):
        click.echo(f"{path} has it already: {line}", err=True)
        return ExitCode.OK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        before = b"\n" if text and not text.endswith(b"\n") else b""
        file.write(before + b"# Completion of htrun's commands and tags\n" + line.encode() + b"\n")
    click.echo(f"appended to {path}: {line}", err=True)
    return ExitCode.OK


@click.group()
def transplants() -> None:
    """Look after transplants: packed Python installations.

    They were packed for execute nodes.

    \b
    Example:
      htrun transplants info
    """


@transplants.command("info")
def transplants_info() -> ExitCode:
    """Show the transplants there are, with their numbers.

    \b
    Example:
      htrun transplants info
    """
    text = transplant_info()
    if text:
        click.echo(text)
    else:
        click.echo(f"htrun: note: there are none in {load().transplants}", err=True)
    return ExitCode.OK


@transplants.command("remove")
@click.argument("index", type=click.IntRange(min=0))
def transplants_remove(index: int) -> ExitCode:
    """Delete a transplant, by its number.

    'htrun transplants info' shows the numbers.

    \b
    Example:
      htrun transplants remove 0
    """
    found = all_transplants()
    if index >= len(found):
        there = f"the last one is {len(found) - 1}" if found else "there are none"
        raise UsageError(f"there is no transplant {index}: {there}")
    found[index].remove()
    click.echo(f"removed {found[index].path}", err=True)
    return ExitCode.OK
