"""The page that shows a map, in a browser: what one can do with it, and that everybody can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.conftest import Shell
from tests.behaviour.test_report import HOSTILE, large, make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page

    from tests.conftest import Once

    Open = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Return a function that shows a file; at the end, nothing may have been complained of or asked of a network."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def show(path: Path, **options: Any) -> Page:
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.locator("#explorer").wait_for()
        return page

    yield show
    for context in contexts:
        context.close()
    assert not said
    assert all(url.startswith(("file:", "data:")) for url in asked)


@pytest.fixture
def report(once: Once) -> Path:
    """Return the page of a map of twenty components, of which five have errored."""

    def maker(home: Path) -> None:
        shell = Shell(home, "local", {})
        make(shell)
        shell("report", "t")

    home, _ = once("report", maker)
    return home / "work/results/t/report.html"


def shown(page: Page) -> list[int]:
    """Return the components in the table."""
    return [int(text) for text in page.locator("#table tbody tr:not(.more) th").all_inner_texts()]


def find(page: Page, words: str) -> list[int]:
    """Search for something, and return the components that are found."""
    page.get_by_role("searchbox", name="Search").fill(words)
    page.keyboard.press("Enter")
    return shown(page)


def test_searching(open_page: Open, report: Path) -> None:
    """Numbers and ranges mean components, anything else is looked for in what they got and gave."""
    page = open_page(report)
    assert shown(page) == list(range(20))
    assert find(page, "17") == [17]
    assert find(page, "4 - 6") == [4, 5, 6]
    assert find(page, 'name="sample 1') == [1, *range(10, 20)]
    assert find(page, "CONVERGENCE") == [3, 8, 13, 18]
    assert find(page, "99") == []
    assert page.get_by_role("status").inner_text() == "No component is like that."
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("20 components", exact=True).wait_for()
    assert shown(page) == list(range(20))


def test_filtering_and_sorting(open_page: Open, report: Path) -> None:
    """Statuses and causes narrow the table down, heads of columns put it in order and say which."""
    page = open_page(report)
    page.get_by_role("combobox", name="Status").select_option(label="errored (5)")
    assert shown(page) == [3, 7, 8, 13, 18]
    head = page.locator('[data-sort="component"]')
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").click()
    assert shown(page) == [18, 13, 8, 7, 3]
    assert head.get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="show it in the table").click()
    assert shown(page) == [7]
    page.get_by_role("link", name="completed 15").click()
    page.locator('[data-sort="input"]').get_by_role("button").click()
    assert shown(page)[:4] == [0, 1, 2, 4], "by the numbers in the text"
    page.locator('[data-sort="wall"]').get_by_role("button").click()
    slowest = page.locator("#slowest tbody th").all_inner_texts()
    page.get_by_role("combobox", name="Status").select_option("")
    assert shown(page)[0] == int(slowest[0]), "the largest first"


def test_one_component(open_page: Open, report: Path) -> None:
    """More of a component is shown on demand; it leads to its files, and from elsewhere in the page to it."""
    page = open_page(report)
    assert find(page, "2") == [2]
    page.get_by_role("button", name="component 2, more").click()
    more = page.locator("#table tr.more")
    assert "htrun stdout t 2" in more.inner_text()
    assert 'x=2, name="sample 2"' in more.inner_text()
    page.get_by_role("button", name="component 2, more").click()
    assert not more.count()
    first = page.locator("#slowest tbody th a").first
    number = first.inner_text()
    first.click()
    assert shown(page) == [int(number)]
    assert more.count() == 1
    find(page, "2")
    page.get_by_role("link", name="stdout", exact=True).click()
    assert "printed by 2" in page.inner_text("body")


def test_with_the_keyboard_alone(open_page: Open, report: Path) -> None:
    """The first Tab offers the table; there everything is reached and done with keys, and the focus stays."""
    page = open_page(report)
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the table of components"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.locator(":focus").get_attribute("id") == "query"
    page.keyboard.type("11")
    page.get_by_text("1 of 20 components").wait_for()
    row = page.get_by_role("button", name="component 11, more")
    for _ in range(20):
        page.keyboard.press("Tab")
        if row.evaluate("it => it === document.activeElement"):
            break
    page.keyboard.press("Space")
    assert page.locator("#table tr.more").count() == 1
    assert row.evaluate("it => it === document.activeElement")
    assert row.get_attribute("aria-expanded") == "true"


def test_what_users_wrote_does_nothing(open_page: Open, report: Path) -> None:
    """Markup in inputs and errors is shown as it is, in the table too, and none of it becomes an element."""
    page = open_page(report)
    assert find(page, HOSTILE) == [4, 7]
    assert HOSTILE in page.locator("#table").inner_text()
    page.get_by_role("button", name="component 7, more").click()
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_for_everybody(open_page: Open, report: Path, scheme: str, width: int) -> None:
    """In light and dark, wide and narrow, no rule of axe is broken, contrast included, and nothing is cut off."""
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(report, color_scheme=scheme, viewport={"width": width, "height": 800})
    for details in page.locator("summary").all():
        details.click()
    page.get_by_role("button", name="component 7, more").click()
    found = Axe().run(page)
    problems = [
        (problem["id"], node["target"], node["failureSummary"])
        for problem in found.response["violations"]
        for node in problem["nodes"]
    ]
    assert not problems
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_in_grey(open_page: Open, report: Path) -> None:
    """Every status is said in words and by a sign, and what has errored is hatched: no colour says anything alone."""
    page = open_page(report)
    statuses = page.locator("#table .status").all_inner_texts()
    assert {text.replace("\n", "") for text in statuses} == {"✓completed", "✕errored"}
    fill = page.locator("#time .level.s-errored").first.evaluate("it => getComputedStyle(it).fill")
    assert "#hatch" in fill


def test_on_paper(open_page: Open, report: Path) -> None:
    """Printed, all error reports are there and what can only be clicked is not; afterwards it is as before."""
    page = open_page(report)
    closed = page.locator(".causes details:not([open])")
    assert closed.count() == 1
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert closed.count() == 0
    for hidden in (".controls", "#next", "body > nav", "button.plain >> nth=0"):
        assert not page.locator(hidden).is_visible()
    assert page.get_by_text("page 1 of 1").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert closed.count() == 1
    assert page.pdf().startswith(b"%PDF")


def test_without_javascript(chromium: Browser, report: Path) -> None:
    """All but the table is there, and where that is shown otherwise."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.get_by_text("htrun components t", exact=True).is_visible()
    assert not page.locator("#explorer").is_visible()
    assert page.get_by_text("show them in the table").count() == 1
    assert not page.get_by_text("show them in the table").is_visible()
    assert page.get_by_role("img", name="Distribution of run times").is_visible()
    context.close()


def test_a_hundred_thousand(open_page: Open, once: Once) -> None:
    """Any of a hundred thousand components is found, by its number, its input and its status, and pages are turned."""
    home, _ = once("report-large", large)
    page = open_page(home / "work/results/t/report.html")
    assert find(page, "99999") == [99_999]
    assert find(page, "x=98765") == [98_765]
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("100,000 components", exact=True).wait_for()
    turn: Locator = page.get_by_role("button", name="Last")
    turn.click()
    assert shown(page) == list(range(99_950, 100_000))
    assert page.get_by_text("page 2,000 of 2,000").is_visible()
    assert turn.is_disabled()
    page.get_by_role("button", name="Previous").click()
    assert shown(page)[0] == 99_900
    page.get_by_role("combobox", name="Status").select_option(label="errored (101)")
    assert shown(page)[:3] == [3, 1000, 1997]
    assert page.locator("#table tbody tr").count() == 50
