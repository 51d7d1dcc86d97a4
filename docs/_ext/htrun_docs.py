"""What the documentation of htrun needs of Sphinx: commands from click, and references to what is in the API."""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import TYPE_CHECKING

import click
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from htrun.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

_CODE = re.compile(r"'(htrun [^']+)'|(?<![\w-])(--?[a-z][\w-]*(?:=\w+)?)(?!\w)")


class Commands(SphinxDirective):
    """``{commands}``: each command of htrun, with its help, its usage and its options, from click itself."""

    def run(self) -> Sequence[nodes.Node]:
        """Return a section a command, in the order of ``htrun --help``."""
        context = click.Context(cli, info_name="htrun")
        return [_section(command, self) for command in walk(context)]


def walk(context: click.Context) -> Iterator[click.Context]:
    """Yield the contexts of a command and of those below it; of a group below the first one only the latter."""
    group = context.command
    if not isinstance(group, click.Group):
        yield context
        return
    if context.parent is None:
        yield context
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield from walk(click.Context(command, info_name=name, parent=context))


def paragraphs(context: click.Context) -> Iterator[tuple[str, bool]]:
    r"""Yield the paragraphs of a command's help, and whether each is to be left as it is (``\b``)."""
    for paragraph in re.split(r"\n\s*\n", cleandoc(context.command.help or "")):
        text = paragraph.lstrip("\n")
        is_verbatim = text.startswith("\b")
        yield text.removeprefix("\b").strip("\n"), is_verbatim


def examples(context: click.Context) -> list[str]:
    """Return the lines for a shell that a command's help gives as examples."""
    found = []
    for text, is_verbatim in paragraphs(context):
        label, _, lines = text.partition("\n")
        if is_verbatim and label in ("Example:", "Examples:"):
            found += [line.strip() for line in lines.splitlines()]
    return found


def _section(context: click.Context, directive: SphinxDirective) -> nodes.section:
    path = context.command_path
    section = nodes.section(ids=[path.replace(" ", "-")], names=[path])
    section += nodes.title("", "", nodes.literal("", path))
    directive.state.document.note_explicit_target(section)
    pieces = context.command.collect_usage_pieces(context)
    usage = "htrun TARGET [OPTIONS]\n" if path == "htrun run" else ""
    shown: list[nodes.Node] = [_literal_block(f"{usage}{path} {' '.join(pieces)}", "text")]
    for text, is_verbatim in paragraphs(context):
        if not is_verbatim:
            shown.append(nodes.paragraph("", "", *_inline(" ".join(text.split()))))
        elif text.splitlines()[0] in ("Example:", "Examples:"):
            pass
        else:
            shown.append(_literal_block(text, "text"))
    if lines := examples(context):
        shown.append(_literal_block("".join(f"$ {line}\n" for line in lines), "console"))
    section += [shown[1], shown[0], *shown[2:]]
    options = [p for p in context.command.get_params(context) if isinstance(p, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    section += nodes.definition_list("", *(_option(path, *record) for record in records))
    return section


def _option(path: str, names: str, text: str) -> nodes.definition_list_item:
    long = re.findall(r"--?[\w-]+", names)[-1]
    term = nodes.term("", "", nodes.literal("", names), ids=[f"{path.replace(' ', '-')}{long}"])
    return nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph("", "", *_inline(text))))


def _literal_block(text: str, language: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language=language)


def _inline(text: str) -> Iterator[nodes.Node]:
    """Yield a text with commands and options in it as code."""
    end = 0
    for found in _CODE.finditer(text):
        yield nodes.Text(text[end : found.start()])
        yield nodes.literal("", found[1] or found[2])
        end = found.end()
    yield nodes.Text(text[end:])


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Node) -> nodes.Node | None:
    """Find the object of the API that a docstring or an annotation names without its module."""
    if node["refdomain"] != "py":
        return None
    name = f".{node['reftarget'].rpartition('.')[2]}"
    objects = env.domains.python_domain.objects
    found = {entry.node_id: entry for full, entry in objects.items() if full.endswith(name)}
    if len(found) != 1:
        return None
    (entry,) = found.values()
    uri = f"{app.builder.get_relative_uri(node['refdoc'], entry.docname)}#{entry.node_id}"
    return nodes.reference("", "", contnode, internal=True, refuri=uri)


def dashes(app: Sphinx, doctree: nodes.document, docname: str) -> None:  # noqa: ARG001
    """Put a dash where Sphinx itself leaves two hyphens to smartquotes, which would take those of options as well."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add it to Sphinx."""
    app.add_directive("commands", Commands)
    app.connect("missing-reference", resolve)
    app.connect("doctree-resolved", dashes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
