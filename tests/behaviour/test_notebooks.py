"""What notebooks show of maps: tables that follow them, errors, holds, and tracebacks without htrun's own frames."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from tests.behaviour.conftest import PACKAGE, PATIENCE_S
from tests.behaviour.notebooks import execute, text

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell
    from tests.behaviour.notebooks import Cell

HARMFUL = "<script>alert(1)</script><img src=x onerror=alert(2)>\\ud800&amp;"
VOID = {"br", "hr", "img", "input", "meta", "link"}


class Page(HTMLParser):
    """HTML that is well-formed, its elements and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        assert tag not in VOID
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that what ends is what has begun last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        if self._open[-1] != "style":
            self.text += f"{data}|"


def page(cell: Cell) -> Page:
    """Return the HTML of a cell that shows one thing."""
    (html,) = (text(output["data"]["text/html"]) for output in cell.outputs if "data" in output)
    return Page(html)


def test_a_table_of_a_map_follows_it(shell: Shell) -> None:
    """The table of a map that has just been made is in the stored notebook as it was when the map had ended."""
    cells = execute(
        shell,
        """\
# %%
import htrun
def inverse(x):
    return 1 / x
made = htrun.map(inverse, [1, 2, 0, 0], tag="made")
made
# %%
made.wait(errors_ok=True, show_progress_bar=True)
# %%
print(made.components)
made._repr_html_()
""",
    )
    shown = page(cells[0])
    assert "Components|4: 2 errored, 2 completed|" in shown.text
    assert "Finished|4 of 4 (100 %)|" in shown.text
    assert "2|ZeroDivisionError: division by zero|2-3|" in shown.text
    assert {"role", "aria-label", "scope"} <= shown.attributes
    assert len([output for output in cells[0].outputs if "data" in output]) == 1
    assert "Finished" in (cells[2].value or "")


def test_a_table_stays_as_it_was_when_nothing_moved(shell: Shell) -> None:
    """The table of a held map goes on to say so when the map is released, as that of a failed one does after a rerun."""
    cells = execute(
        shell,
        """\
# %%
import htrun
path = htrun.TransferPath("late.txt")
late = htrun.map(lambda path: 1 / len(path.read_text()), [path], tag="late")
late
# %%
late.wait(holds_ok=True)
# %%
late
# %%
path.write_text("")
late.release()
late.wait(errors_ok=True)
late
# %%
path.write_text("1")
late.rerun()
late
# %%
late.wait()
late
""",
    )
    held, failed, completed = ("1: 1 held|", "1: 1 errored|", "1: 1 completed|")
    for number, expected in ((0, held), (2, held), (3, failed), (4, completed), (5, completed)):
        assert expected in page(cells[number]).text


def test_all_of_the_users_text_is_escaped(local: Shell) -> None:
    """Messages, source, variables, printed text and names of files are text in HTML, whatever they are."""
    cells = execute(
        local,
        f"""\
# %%
import htrun
HARMFUL = {HARMFUL!r}.encode().decode("unicode_escape")
def bad(x):
    # {HARMFUL}
    found = {{HARMFUL: HARMFUL}}
    print(HARMFUL.encode("utf-8", "replace").decode())
    open("<b>file<b>", "w").close()
    error = ValueError(HARMFUL)
    error.add_note(HARMFUL) if hasattr(error, "add_note") else None
    try:
        raise KeyError(HARMFUL)
    except KeyError as first:
        raise error from first
made = htrun.map(bad, [HARMFUL, HARMFUL])
made.wait(errors_ok=True)
# %%
made
# %% raises-exception
made.get(0)
# %%
made.errors[0]
# %%
made.errors
# %%
held = htrun.map(lambda path: None, [htrun.TransferPath("<script>none</script>")])
held.wait(holds_ok=True)
# %%
held.holds
# %%
held
# %%
htrun.load_maps()
""",
    )
    for cell, expected in (
        (cells[1], "ValueError: <script>alert(1)"),
        (cells[3], "<img src=x onerror=alert(2)>"),
        (cells[4], "component 1: ValueError: <script>alert(1)"),
        (cells[6], "<script>none</script>"),
        (cells[7], "<script>none</script>"),
        (cells[8], "2 maps|"),
    ):
        shown = page(cell)
        assert expected in shown.text
        assert not shown.tags & {"script", "img", "b"}
        assert "onerror" not in shown.attributes
    report = page(cells[3]).text
    for part in (
        "Component 0 of map ",
        "KeyError: ",
        "direct cause",
        "Local variables|",
        "Standard output|",
        "<b>file<b>",
        "Node|",
    ):
        assert part in report, report


# A client of a kernel that asks for nothing while it waits for what is shown.
IDLE = """
import json, sys, time
from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name="python3")
try:
    client.execute(sys.argv[1])
    shown = []
    deadline = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < deadline and not (shown and sys.argv[3] in shown[-1]["data"]["text/html"]):
        message = client.get_iopub_msg(timeout=float(sys.argv[2]))
        if message["msg_type"] in ("display_data", "update_display_data"):
            shown.append(message["content"])
        assert message["msg_type"] != "error", message["content"]
    print(json.dumps(shown))
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""


def test_a_table_is_kept_up_to_date_while_the_kernel_is_idle(local: Shell) -> None:
    """Nobody waits for the map, and no cell runs: its table still comes to show that the map has ended."""
    cell = """
import htrun, time
made = htrun.map(lambda x: time.sleep(1) or x, [1, 2, 3], tag="made")
made
"""
    done = subprocess.run(
        [sys.executable, "-c", IDLE, cell, str(PATIENCE_S), "3 of 3"],
        cwd=local.cwd, env={**local.env, "PYTHONWARNINGS": "default"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert "0 of 3" in shown[0]["data"]["text/html"]
    assert "3 of 3" in shown[-1]["data"]["text/html"]
    assert len({content["transient"]["display_id"] for content in shown}) == 1


def test_tracebacks_are_the_users(local: Shell) -> None:
    """A cell that fails shows the user's own lines and the component's traceback, none of htrun's frames."""
    cells = execute(
        local,
        """\
# %%
import htrun
def inverse(x):
    return 1 / x
def outputs(made):
    return list(made)
made = htrun.map(inverse, [0], tag="made")
# %% raises-exception
outputs(made)
# %% raises-exception
made.get(0)
# %% raises-exception
htrun.map(inverse, [1], tag="made")
# %% raises-exception
htrun.load("mode")
# %% raises-exception
htrun.map(lambda path: None, [htrun.TransferPath("none")]).get(0)
# %%
import pickle
try:
    made.get(0)
except htrun.exceptions.MapComponentError as error:
    same, message = pickle.loads(pickle.dumps(error)), str(error)
print(str(same) == message, same.summary, "inverse(0)" in same.remote)
# %%
%colors nocolor
# %% raises-exception
made.get(0)
""",
    )
    for cell in (*cells[1:6], cells[8]):
        assert str(PACKAGE) not in cell.traceback
        assert "Cell In[" in cell.traceback
    for cell in (*cells[1:3], cells[8]):
        assert re.search(r"^> +return 1 / x$", cell.traceback, re.MULTILINE)
        assert re.search(r"^    x = 0$", cell.traceback, re.MULTILINE)
        *_, last = cell.traceback.splitlines()
        assert last.endswith(": Component 0 of map made has failed with ZeroDivisionError: division by zero")
        assert cell.error[0] == "MapComponentError"
        assert "with installed packages" in cell.error[1]
    assert "return list(made)" in cells[1].traceback
    assert 'htrun.load("made")' in cells[3].traceback
    assert "did you mean made?" in cells[4].traceback
    assert "No such file or directory" in cells[5].traceback
    assert cells[6].stdout == (
        "True Component 0 of map made has failed with ZeroDivisionError: division by zero True\n"
    )
    (uncoloured,) = (output["traceback"] for output in cells[8].outputs if output["output_type"] == "error")
    assert "\x1b" not in "".join(uncoloured)


def test_ipython_in_a_terminal(local: Shell) -> None:
    """There a map is shown as its repr, after the prompt of outputs."""
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--colors=nocolor", "--no-banner"],
        input="import htrun\nmade = htrun.map(str, [1], tag='made')\nmade\nmade.wait()\nmade.holds\nmade[4]\n",
        cwd=local.cwd, env={**local.env, "PYTHONWARNINGS": "default"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Out[3]: Map(tag = made)" in done.stdout, done.stdout + done.stderr
    assert "Out[5]: {}" in done.stdout
    assert "no component 4" in done.stdout
