"""What runs the pages: that it finds all code, and lets nothing through that is not as it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import Block, PageError, read_blocks
from tests.docs.comparing import differences
from tests.docs.parsing import parse
from tests.docs.sessions import Interpreter, Stuck, Terminal

if TYPE_CHECKING:
    from pathlib import Path

BASH_ENV = {"PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ("a\nb", "a\nb"),
        ("a  \n\n", "a\n"),
        ("...", ""),
        ("...", "a\nb"),
        ("a\n...", "a\nb\nc"),
        ("...\nc", "a\nb\nc"),
        ("a\n...\nc\n...\ne", "a\nb\nc\nd\ne"),
        ("a\n...\nb", "a\nb"),
        ("took ...s (...)", "took 0.31s (2 of 3)"),
        ("a.c*", "a.c*"),
        ("...\nx\ny\n...", "x\nx\ny"),
        ("============ 3 in 0.31s ============", "=========== 3 in 12.00s ==========="),
    ],
)
def test_output_is_as_it_is_shown(shown: str, found: str) -> None:
    """Three dots stand for anything in a line, and for any lines if they are alone in one."""
    assert differences(shown.splitlines(), found.splitlines()) is None


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ("a", "a\nb"),
        ("a\nb", "a"),
        ("a", ""),
        ("", "a"),
        ("a.c", "abc"),
        ("a\n...\nc", "a\nb"),
        ("a\n...\na", "a"),
        ("...\nb", "b\na"),
        ("a\n...\nx\n...\nd", "a\nb\nc\nd"),
        ("took ...s", "took 0.31s."),
        ("========== 3 in 0.31s ==========", "========== 4 in 0.31s =========="),
    ],
)
def test_output_that_is_not_as_it_is_shown_is_told(shown: str, found: str) -> None:
    """What else there is, or what is missing, is a difference."""
    assert differences(shown.splitlines(), found.splitlines())


PAGE = """\
<!-- test: engine=htcondor -->
# Page

```console
$ one \\
  more
shown
$ cat <<END
> text
> END

$ last
```

- in a list:

  ```{code-block} json
  :caption: in.jsonl

  {"a": 1}
  ```

:::{note}
```python
x = 1
```
:::

````{tip}
```toml
a = 1
```
````

<!-- test: only-parse it needs a GPU -->
```console
$ nvidia-smi
```
<!-- test: file Makefile -->
```make
all:
```
"""


def read(tmp_path: Path, text: str) -> list[Block]:
    """Return the blocks of a page."""
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    return read_blocks(path, "page.md")


def test_all_blocks_of_a_page_are_found(tmp_path: Path) -> None:
    """Blocks in lists and notes count, and comments say what they are said to say."""
    blocks = read(tmp_path, PAGE)
    assert [block.language for block in blocks] == ["console", "json", "python", "toml", "console", "make"]
    assert {block.engine for block in blocks} == {"htcondor"}
    assert [block.file for block in blocks] == [None, "in.jsonl", None, None, None, "Makefile"]
    assert [block.parse_only for block in blocks] == [None, None, None, None, "it needs a GPU", None]
    lines = PAGE.splitlines()
    assert [lines[block.line - 1].strip() for block in blocks] == [
        "$ one \\",
        '{"a": 1}',
        "x = 1",
        "a = 1",
        "$ nvidia-smi",
        "all:",
    ]
    assert [tuple(command) for command in blocks[0].commands()] == [
        (5, "one \\\n  more", ["shown"]),
        (8, "cat <<END\ntext\nEND", [""]),
        (12, "last", None),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text\n\n    $ indented\n", "page.md:3: code that is only indented"),
        ("```\nx\n```\n", "page.md:1: a block without a language"),
        ("<!-- test: skip -->\n```text\n```\n", "page.md:1: 'test: skip' is none of"),
        ("<!-- test: only-parse -->\n```text\n```\n", "is none of"),
        ("text\n\n<!-- test: only-parse why -->\n\n# Next\n", "page.md:3: no block follows"),
        ("text\n\n<!-- test: only-parse why -->\n", "page.md:3: no block follows"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """Code that would be passed over is an error, with its place in the page."""
    with pytest.raises(PageError, match=message):
        read(tmp_path, text)


def test_a_block_of_the_console_begins_with_a_command() -> None:
    """Output without a command is an error."""
    with pytest.raises(PageError, match=r"page\.md:7: a block of the language console begins"):
        Block("page.md", 7, "console", "output\n").commands()


@pytest.mark.parametrize(
    ("language", "text", "wrong"),
    [
        ("console", "$ htrun m.py:f --args in.jsonl -o +Name='\"x\"' | head > out\n", None),
        ("console", "$ A=1 htrun collect scan --values; htrun -v status\n", None),
        ("console", "$ htrun edit memory scan 4 --unit GB && htrun rerun components scan 3-7\n", None),
        ("console", "$ htrun --version\n", None),
        ("console", "$ apt-get install (\n", "syntax error"),
        ("console", "$ htrun m.py:f --arguments in.jsonl\n", "No such option"),
        ("console", "$ ls | htrun collect\n", "Missing argument"),
        ("console", "$ htrun colect scan\n", "did you mean 'htrun collect'"),
        ("console", "$ htrun edit memry scan 4\n", "No such command"),
        ("python", "x = (\n", "was never closed"),
        ("python", ">>> f(1)\n2\n", None),
        ("python", ">>> f(1 2)\n2\n", "invalid syntax"),
        ("toml", "a = 1\n", None),
        ("toml", "a = \n", "Invalid value"),
        ("json", '{"a": 1}\n{"a": 2}\n', None),
        ("json", '{"a": 1,}\n', "property name"),
        ("dockerfile", "FROM x\nRUN a && \\\n  b\n", None),
        ("dockerfile", "FORM x\n", "FORM"),
        ("text", "anything\n", None),
        ("ruby", "1\n", "'ruby' is not a language that is known here"),
    ],
)
def test_blocks_that_are_not_run_are_parsed(language: str, text: str, wrong: str | None) -> None:
    """What is wrong with the syntax of the shell, of Python, of data or with htrun's options is found."""
    found = parse(Block("page.md", 1, language, text))
    assert found is None if wrong is None else wrong in (found or "")


def test_commands_share_a_shell(tmp_path: Path) -> None:
    """What a command exports and where it changes to counts for the next one; streams keep their order."""
    terminal = Terminal(tmp_path, tmp_path, BASH_ENV)
    try:
        assert terminal.run("mkdir d; cd d; A=1") == (0, "")
        assert terminal.run("basename $PWD; echo $A >&2; echo end; cat") == (0, "d\n1\nend\n")
        assert terminal.run("false") == (1, "")
        assert terminal.run("cat <<END\nline\nEND") == (0, "line\n")
        with pytest.raises(Stuck, match="ended the shell"):
            terminal.run("exit 3")
    finally:
        terminal.close()


def test_blocks_of_python_share_a_namespace(tmp_path: Path) -> None:
    """Names last, examples are compared, and exceptions are told with their line."""
    interpreter = Interpreter(tmp_path, BASH_ENV)
    try:
        assert interpreter.run(Block("page.md", 1, "python", "import sys\nx = 1\n")) is None
        assert interpreter.run(Block("page.md", 5, "python", ">>> x + 1\n2\n>>> y = 3\n")) is None
        assert interpreter.run(Block("page.md", 9, "python", "assert y == 3\nprint('said')\n")) is None
        wrong = interpreter.run(Block("page.md", 20, "python", ">>> x\n1\n>>> x\n2\n"))
        assert wrong is not None
        assert "line 22" in wrong
        assert "Expected:\n    2\nGot:\n    1" in wrong
        assert "page.md:30" in str(interpreter.run(Block("page.md", 30, "python", "sys.exit(2)\n")))
        with pytest.raises(Stuck, match="ended the interpreter"):
            interpreter.run(Block("page.md", 40, "python", "import os\nos._exit(1)\n"))
    finally:
        interpreter.close()
