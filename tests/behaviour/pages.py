"""What a page that `htrun report` has written holds, read without a browser."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


_APART = frozenset({"dd", "dt", "li", "p", "td", "th"})


class Page(HTMLParser):
    """A page's elements, its text, and its table of components.

    Attributes
    ----------
    text : str
        All that is to be read, with single spaces.
    names : set of str
        The names of its elements.
    links : list of str
        Where they lead.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.names: set[str] = set()
        self.links: list[str] = []
        self._parts: list[str] = []
        self._inside: list[str] = []
        self.feed(source)
        self.text = " ".join("".join(self._parts).split())
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', source, re.DOTALL)
        assert found, "it has no data"
        self.data: dict[str, Any] = json.loads(found[1])
        self.table: dict[str, Any] = self.data["table"]

    @classmethod
    def read(cls, path: Path) -> Page:
        """Return the page in a file."""
        return cls(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.names.add(tag)
        self._inside.append(tag)
        self._parts.append(" " if tag in _APART else "")
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Note text."""
        if not {"script", "style"} & set(self._inside):
            self._parts.append(data)

    def column(self, name: str) -> bytes:
        """Return a column of the table as it was packed."""
        packed = self.table["columns"].get(name)
        return zlib.decompress(base64.b64decode(packed)) if packed else b""

    def lines(self, name: str) -> list[str]:
        """Return a column of texts."""
        return self.column(name).decode().split("\n")

    def numbers(self, name: str, width: int) -> list[int]:
        """Return a column of numbers, the lowest bytes of all of which come first."""
        data = self.column(name)
        size = len(data) // width
        return [sum(data[place * size + row] << 8 * place for place in range(width)) for row in range(size)]

    def jobs(self) -> list[int]:
        """Return the job directory of each row, -1 where there is none."""
        job, result = 0, []
        for difference in self.numbers("job", 4):
            job = (job + difference) & 0xFFFFFFFF
            result.append(job - 1)
        return result

    @property
    def outcomes(self) -> list[str]:
        """The output or error of each row."""
        return [failure or output for failure, output in zip(self.lines("failure"), self.lines("output"), strict=True)]

    @property
    def statuses(self) -> list[str]:
        """The status of each component."""
        return [self.table["statuses"][code] for code in self.column("status")]
