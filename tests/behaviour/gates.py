"""A map that was made in Python, whose components wait until tests let them go."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import htrun
from tests.behaviour.conftest import until

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell


def gated(place: str, number: int) -> int:
    """Note that a component begins, and count into a file until its gate is there."""
    import time
    from pathlib import Path

    with Path(place, f"began-{number}").open("a") as log:
        log.write(".")
    print("printed by", number)
    while not (Path(place, f"gate-{number}").exists() or Path(place, "gate").exists()):
        with Path(place, f"count-{number}").open("a") as log:
            log.write(".")
        time.sleep(0.02)
    if Path(place, f"fail-{number}").exists():
        raise ValueError(f"failure of {number}")
    return number * 10


class Gates:
    """Components that wait for gates to open."""

    def __init__(self, shell: Shell, number: int = 3, **options: Any) -> None:
        self.home = shell.home
        self.number = number
        self.map = htrun.starmap(
            gated,
            [(str(shell.home), n) for n in range(number)],
            map_options=htrun.MapOptions(**options),
            tag="t",
        )

    def began(self, component: int) -> int:
        """Return how often a component was started."""
        return self._size(f"began-{component}")

    def counted(self, component: int = 0) -> int:
        """Return how far a component that waits has counted."""
        return self._size(f"count-{component}")

    def _size(self, name: str) -> int:
        with contextlib.suppress(FileNotFoundError):
            return (self.home / name).stat().st_size
        return 0

    def wait_for(self, *components: int, times: int = 1) -> None:
        """Wait until components run, for the nth time, and the map says so."""
        until(lambda: all(self.began(c) >= times for c in components), f"{components} run, for time {times}")
        self.wait_status("RUNNING", *components)

    def wait_status(self, status: str, *components: int) -> None:
        """Wait until components have a status."""
        until(lambda: {self.statuses[c] for c in components} == {status}, f"{components} are {status}")

    @property
    def statuses(self) -> list[str]:
        """The statuses as text."""
        return [str(status) for status in self.map.component_statuses]

    def fail(self, *components: int) -> None:
        """Let components fail when they are let go."""
        for component in components:
            (self.home / f"fail-{component}").touch()

    def let_go(self, *components: int) -> None:
        """Let components end, all of them by default."""
        for name in [f"gate-{component}" for component in components] or ["gate"]:
            (self.home / name).touch()

    def shut(self) -> None:
        """Let no component end any more."""
        for file in [*self.home.glob("gate*"), *self.home.glob("fail-*")]:
            file.unlink()

    def check(self) -> None:
        """Let all end, and check that they have their outputs."""
        self.let_go()
        self.map.wait(timeout=120)
        assert list(self.map) == [n * 10 for n in range(self.number)]
        assert self.statuses == ["COMPLETED"] * self.number
        assert list(self.map.stdout) == [f"printed by {n}\n" for n in range(self.number)]
