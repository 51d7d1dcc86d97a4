"""Completion in shells: click's, with what it lacks for us."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from click.shell_completion import (
    BashComplete,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    shell_complete,
    split_arg_string,
)

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

_BASH = """\
%(complete_func)s() {
    local word=${COMP_WORDS[COMP_CWORD]} type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
        plain)
            [[ $word == [\\"\\']* ]] || printf -v value %%q "$value"
            COMPREPLY+=("$value") ;;
        dir)
            compopt -o filenames
            mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$value") ;;
        file | target)
            compopt -o filenames
            mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$value")
            [[ $type == target && ${#COMPREPLY[@]} == 1 && $COMPREPLY == *.py ]] && compopt -o nospace ;;
        esac
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" COMP_WORD="$word" \
        %(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Htrun(ShellComplete):
    """Completes the value in ``--option=VALUE`` to the whole word, as shells expect it."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        found = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            for item in found:
                item.value = item.value if item.type != "plain" else f"{option}={item.value}"
        return found


class _Bash(_Htrun, BashComplete):
    """Takes the line as it is, since readline cuts words at ``:``, ``=`` and ``@``, and shows files beside words."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        # A character more tells whether the last word goes on at the cursor, in quotes perhaps.
        words = split_arg_string(os.environ["COMP_LINE"] + "_")
        return words[1:-1], words[-1][:-1]

    def complete(self) -> str:
        args, incomplete = self.get_completion_args()
        quoted = os.environ["COMP_WORD"].startswith(("'", '"'))
        breaks = set(os.environ["COMP_WORDBREAKS"]).intersection(":=@") if not quoted else ()
        # What readline leaves as it is: all up to a break, but for "@", which belongs to what follows.
        kept = max((incomplete.rfind(mark) + (mark != "@") for mark in breaks), default=0)
        items = self.get_completions(args, incomplete)
        return "\n".join(
            f"{i.type},{i.value[kept:] if i.value.startswith(incomplete[:kept]) else i.value}" for i in items
        )


class _Zsh(_Htrun, ZshComplete):
    source_template = ZshComplete.source_template.replace(
        "            _path_files -f\n",
        """\
            _path_files -f
        elif [[ "$type" == "target" ]]; then
            _path_files -f -S ''
""",
    )


class _Fish(_Htrun, FishComplete):
    source_template = FishComplete.source_template.replace(
        '        else if test $metadata[1] = "plain";\n',
        """\
        else if test $metadata[1] = "target";
            __fish_complete_path $metadata[2] | string replace -r '\\.py(?=\t|$)' '.py:';
        else if test $metadata[1] = "plain";
""",
    )


def complete(cli: click.Command, instruction: str) -> int:
    """Do what the shell's completion asks for in ``_HTRUN_COMPLETE``, and return an exit code.

    What is wrong, with the settings for instance, is not told in the midst of what the user types.
    """
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell)
    with suppress(Exception):
        return shell_complete(cli, {}, "htrun", "_HTRUN_COMPLETE", instruction)
    return 1
