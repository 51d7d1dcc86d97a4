"""Every block of code in the documentation does what the page shows: a test a page, its blocks in their order.

How pages are written for this is in docs/contributing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.behaviour.conftest import Shell, environ_of
from tests.docs.blocks import Block, PageError, read_blocks
from tests.docs.comparing import differences
from tests.docs.parsing import parse
from tests.docs.sessions import Interpreter, Stuck, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


class Page:
    """A place for the blocks of one page, with sessions on each engine that it asks for.

    Parameters
    ----------
    home : Path
    request : FixtureRequest
        Of the test, which gets the pool for a page that needs it.
    """

    def __init__(self, home: Path, request: pytest.FixtureRequest) -> None:
        self.home = home
        self.request = request
        self._shells: dict[str, Shell] = {}
        self._terminals: dict[str, Terminal] = {}
        self._interpreters: dict[str, Interpreter] = {}

    def _shell(self, engine: str) -> Shell:
        if engine not in self._shells:
            environ = {**environ_of(engine, self.request), "COLUMNS": "80"}
            self._shells[engine] = Shell(self.home, engine, environ)
            examples = self._shells[engine].cwd / "examples"
            if not examples.exists():
                shutil.copytree(ROOT / "examples", examples, ignore=shutil.ignore_patterns("results", "__pycache__"))
        return self._shells[engine]

    def _terminal(self, engine: str) -> Terminal:
        if engine not in self._terminals:
            own = self.home / f"terminal-{engine}"
            own.mkdir()
            shell = self._shell(engine)
            # Of a make that runs the tests, one in a page is to know nothing.
            env = {name: value for name, value in shell.env.items() if not name.startswith(("MAKE", "MFLAGS"))}
            self._terminals[engine] = Terminal(shell.cwd, own, env)
        return self._terminals[engine]

    def _interpreter(self, engine: str) -> Interpreter:
        if engine not in self._interpreters:
            shell = self._shell(engine)
            self._interpreters[engine] = Interpreter(shell.cwd, shell.env)
        return self._interpreters[engine]

    def check(self, path: Path) -> None:
        """Run the blocks of a page; fails at the first that does not do what it shows."""
        name = os.fspath(path.relative_to(ROOT))
        try:
            for block in read_blocks(path, name):
                self.run(block)
        except PageError as error:
            self.fail(name, str(error))

    def run(self, block: Block) -> None:
        """Run a block; fails if that does not do what it shows."""
        engine = block.engine or "local"
        if block.file is not None:
            path = self._shell(engine).cwd / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.parse_only or block.language not in ("console", "python"):
            if wrong := parse(block):
                self.fail(block.place, wrong)
        elif block.language == "python":
            try:
                wrong = self._interpreter(engine).run(block)
            except Stuck as error:
                wrong = str(error)
            if wrong:
                self.fail(block.place, wrong)
        else:
            self._console(block, self._terminal(engine))

    def _console(self, block: Block, terminal: Terminal) -> None:
        for command in block.commands():
            place = f"{block.page}:{command.line}: {command.text}"
            try:
                code, said = terminal.run(command.text)
            except Stuck as error:
                self.fail(place, str(error))
            if command.output is None:
                if code:
                    self.fail(place, f"exit code {code}\n{said}")
            elif wrong := differences(command.output, said.splitlines()):
                self.fail(place, wrong)

    def fail(self, place: str, wrong: str) -> NoReturn:
        """Fail the test, with the place in the page."""
        raise pytest.fail.Exception(f"{place}\n{wrong}", pytrace=False) from None

    def close(self) -> None:
        """End all that runs of the page."""
        for terminal in self._terminals.values():
            terminal.close()
        for interpreter in self._interpreters.values():
            interpreter.close()
        for shell in self._shells.values():
            shell.close()


@pytest.fixture
def page(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Return a place for a page."""
    place = Page(tmp_path, request)
    yield place
    place.close()


@pytest.mark.parametrize("path", PAGES, ids=[os.fspath(path.relative_to(ROOT)) for path in PAGES])
def test_the_blocks_of_a_page_do_what_it_shows(path: Path, page: Page) -> None:
    """The commands and the code of a page run, and what comes out is what the page says."""
    page.check(path)
