"""Make the pictures of `htrun report` in docs/images anew; ``make pictures`` calls it. It needs Chromium.

The map is run on this machine, and its records then changed as if a pool had run it (`made_up`).
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

from tests.parts import browser
from tests.parts.errors import PartError
from tests.tools.made_up import spread

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).resolve().parents[2] / "docs/images"
MAX_BYTES = 150_000
WIDTH = 1120
COMPONENTS = 800
MODEL = """\
    def simulate(temperature, size, seed):
        if 2.25 < temperature < 2.29 and seed % 2:
            raise RuntimeError(f"no equilibrium after {100 * size} sweeps")
        energy = -2 / (1 + temperature / 2.27)
        if size == 64 and seed % 40 == 7:
            energy /= (seed % 40 - 7)
        return {"energy": round(energy, 4), "sweeps": 100 * size}
    """


def main() -> int:
    """Make them and return an exit code."""
    try:
        with browser.start() as chromium, tempfile.TemporaryDirectory() as directory:
            pictures(chromium, make(Path(directory)))
    except PartError as error:
        sys.stderr.write(f"error: there is no browser: {error}\n")
        return 1
    return 0


def make(directory: Path) -> Path:
    """Make a map and its page; return the page."""
    (directory / "model.py").write_text(dedent(MODEL))
    rng = random.Random(5)
    rows = [
        {"temperature": round(1.5 + 0.02 * (number % 80), 2), "size": rng.choice([32, 64]), "seed": number}
        for number in range(COMPONENTS)
    ]
    (directory / "scan.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    env = {**os.environ, "HTRUN_DIR": str(directory / "registry"), "HOME": str(directory)}
    htrun = str(Path(sys.executable).with_name("htrun"))
    words = ["model.py:simulate", "--args", "scan.jsonl", "--tag", "scan", "--engine", "local", "-q"]
    requests = ["--request-memory", "1GB"]
    subprocess.run([htrun, *words, *requests], cwd=directory, env=env, capture_output=True, check=False)
    spread(directory / "results/scan", 56, 40.0)
    subprocess.run([htrun, "report", "scan"], cwd=directory, env=env, capture_output=True, check=True)
    return directory / "results/scan/report.html"


def pictures(chromium: Browser, report: Path) -> None:
    """Take the pictures."""
    IMAGES.mkdir(exist_ok=True)
    page = show(chromium, report, "light")
    take(page, "report.png", "body", ".cause:nth-child(2)")
    take(page, "report-use.png", "#use", "#slowest")
    page = show(chromium, report, "dark")
    page.get_by_role("combobox", name="Status").select_option(label=f"errored ({errored(page)})")
    page.locator("#table tbody button").nth(3).click()
    page.evaluate("document.querySelectorAll('#table tbody tr:nth-child(n + 12)').forEach(row => row.remove())")
    take(page, "report-components.png", "#components", ".pages")


def errored(page: Page) -> int:
    """Return how many components have errored."""
    return int(page.locator('.legend [data-status="ERRORED"] b').inner_text())


def show(chromium: Browser, report: Path, scheme: str) -> Page:
    """Return the page in light or dark, without what sticks to the top of the window."""
    page = chromium.new_page(color_scheme=scheme, viewport={"width": WIDTH, "height": 1000})  # type: ignore[arg-type]
    page.goto(report.as_uri())
    page.locator("#explorer").wait_for()
    page.evaluate("document.querySelector('body > nav').style.position = 'static'")
    page.evaluate(
        "it => { it.innerHTML = it.innerHTML.replace('engine local', 'engine htcondor') }", page.query_selector(".lead")
    )
    return page


def take(page: Page, name: str, first: str, until: str) -> None:
    """Take a picture from the top of an element to that of another one."""
    tops = [
        page.evaluate("it => document.querySelector(it).getBoundingClientRect().top + scrollY", selector)
        for selector in (first, until)
    ]
    top, bottom = math.floor(tops[0]), math.ceil(tops[1])
    margin = 0 if first == "body" else 24
    clip = {"x": 0, "y": top - margin, "width": WIDTH, "height": bottom - top - 12 + margin}
    page.screenshot(path=IMAGES / name, full_page=True, clip=clip)  # type: ignore[arg-type]
    size = (IMAGES / name).stat().st_size
    sys.stdout.write(f"{IMAGES / name}: {size:,} bytes\n")
    assert size <= MAX_BYTES, "too large for the repository"


if __name__ == "__main__":
    raise SystemExit(main())
