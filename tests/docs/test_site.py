"""The site and the manual page, as they are built: without a warning, a network, or a dead link."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import click
import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors.index import slugify

import htrun
from htrun.cli import COMMANDS, cli
from tests.docs.blocks import Block
from tests.docs.parsing import parse

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[2] / "docs/_ext"))
import htrun_docs  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Once

ROOT = Path(__file__).resolve().parents[2]
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


def build(builder: str, *options: str) -> Callable[[Path], None]:
    """Return what builds the documentation in a directory; a warning is an error."""

    def make(directory: Path) -> None:
        words: list[str | Path] = ["-W", "--keep-going", "-q", "-b", builder, *options, "-d", directory / "doctrees"]
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", *words, ROOT / "docs", directory / "built"],
            env={**os.environ, **NO_NETWORK},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return make


@pytest.fixture
def site(once: Once) -> Path:
    """Return the directory of the site."""
    return once("site", build("html"))[0] / "built"


@pytest.fixture
def manual(once: Once) -> str:
    """Return the manual page, as roff."""
    path = once("manual", build("man", "-t", "man"))[0] / "built/htrun.1"
    return path.read_text(encoding="utf-8").replace("\\-", "-")


class Anchors(HTMLParser):
    """The ids, the links and the parts of a page that a browser loads by itself."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag has."""
        found = dict(attrs)
        self.ids.add(found.get("id") or "")
        for name in ("href", "src"):
            if (address := found.get(name)) is not None:
                self.links.append(address)
                if tag in ("script", "img", "iframe", "source") or (tag == "link" and found.get("rel") != "canonical"):
                    self.loaded.append(address)


read = cache(Anchors)


def dead(page: Path, links: list[str], anchors: Callable[[Path], set[str]]) -> Iterator[str]:
    """Yield the links of a page, to others here, that lead nowhere."""
    for link in links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)) if parts.path else page
        if not target.exists():
            yield f"{page.name}: {link}: there is no such file"
        elif parts.fragment and target.suffix in (".html", ".md") and unquote(parts.fragment) not in anchors(target):
            yield f"{page.name}: {link}: there is no such place in the page"


def test_no_link_of_the_site_is_dead(site: Path) -> None:
    """Every link to a page here leads to a page that is there, and to a place in it."""
    pages = [page for page in site.rglob("*.html") if "_static" not in page.parts]
    assert len(pages) > 15
    links = [(page, read(page).links) for page in pages]
    assert not [wrong for page, found in links for wrong in dead(page, found, lambda path: read(path).ids)]


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    """No script, style, font or picture comes from another server."""
    elsewhere = re.compile(r"(https?:)?//")
    pages = site.rglob("*.html")
    assert not [f"{page.name}: {link}" for page in pages for link in read(page).loaded if elsewhere.match(link)]
    styles = site.rglob("*.css")
    assert not [f"{p.name}: {url}" for p in styles for url in re.findall(r"url\(['\"]?(https?://[^)]+)", p.read_text())]


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("*.md")))
def test_no_link_of_a_page_beside_the_site_is_dead(name: str) -> None:
    """What is read in the repository itself leads somewhere as well."""
    tokens = MarkdownIt("commonmark").parse((ROOT / name).read_text(encoding="utf-8"))
    inline = [child for token in tokens for child in token.children or []]
    links = [
        str(token.attrs.get("href", token.attrs.get("src"))) for token in inline if token.type in ("link_open", "image")
    ]
    assert not list(dead(ROOT / name, links, headings))


@cache
def headings(path: Path) -> set[str]:
    """Return the anchors that a page's headings have."""
    tokens = MarkdownIt("commonmark").parse(path.read_text(encoding="utf-8"))
    return {slugify(tokens[n + 1].content) for n, token in enumerate(tokens) if token.type == "heading_open"}


def test_the_reference_has_every_name_of_the_api(site: Path) -> None:
    """What can be imported from htrun has a place in the reference."""
    ids = read(site / "api.html").ids
    told = {"JobStatus", "__version__", "exceptions"}  # in the text
    assert not [name for name in htrun.__all__ if f"htrun.{name}" not in ids and name not in told]


def test_the_reference_has_every_command_and_option(site: Path, manual: str) -> None:
    """The page of the commands and the manual page have all that click knows."""
    ids = read(site / "commands.html").ids
    commands = list(htrun_docs.walk(click.Context(cli, info_name="htrun")))
    assert {context.command_path.split()[1] for context in commands[1:]} == set(COMMANDS)
    for context in commands:
        assert context.command_path.replace(" ", "-") in ids
        assert f".SS \\fB{context.command_path}\\fP" in manual
        for option in context.command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert max(option.opts, key=len) in manual


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_command_are_right(name: str) -> None:
    """What the help of a command gives as an example is there, and the shell and htrun understand it."""
    for context in htrun_docs.walk(click.Context(cli, info_name="htrun")):
        if context.command_path.split()[1:2] == [name]:
            lines = htrun_docs.examples(context)
            assert lines
            assert parse(Block(context.command_path, 1, "console", "".join(f"$ {line}\n" for line in lines))) is None


def test_the_manual_page_says_what_is_usual(manual: str) -> None:
    """It has the sections that manual pages have."""
    for section in ("SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"):
        assert re.search(f'^.SH "?{section}"?$', manual, re.MULTILINE | re.IGNORECASE)
