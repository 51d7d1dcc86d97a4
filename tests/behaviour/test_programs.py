"""Programs that map with htrun's Python API: the snippets of HTMap's manual, and what scripts are made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.programs import run

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

# The snippets of the manual's chapters 4.4, 6.3 and 6.5, but that they import htrun, do not sleep for longer than they
# have to, and have no mistakes in them.
FILTER = """
import htrun as htmap

@htmap.mapped
def is_even(x: int) -> bool:
    return x % 2 == 0

result = is_even.map(range(10))

filtered = [input for input, output in result.iter_with_inputs() if output]

print(filtered) # [(0,), {}], [(2,), {}], [(4,), {}], [(6,), {}], [(8,), {}]
"""
GROUPBY = """
import collections
import htrun as htmap

@htmap.mapped
def is_even(x: int) -> bool:
    return x % 2 == 0

def groupby(result):
    groups = collections.defaultdict(list)

    for input, output in result.iter_with_inputs():
        groups[output].append(input)

    return groups

result = is_even.map(range(10))

for group, elements in groupby(result).items():
    print(group, elements)
"""
BUILDER = """
import htrun as htmap

with htmap.build_map(tag="pow", func=lambda x, p: x ** p) as builder:
    for x in range(1, 4):
        builder(x, x)

map = builder.map
print(list(map))  # [1, 4, 27]
"""
BY_STATUS = """
from time import sleep
import htrun as htmap

def job(x):
    sleep(x / 100)
    return 1 / x

m = htmap.map(job, [0, 2, 4, 6, 8], tag="foo")

# Wait for all jobs to finish.
m.wait(errors_ok=True)

completed = m.components_by_status()[htmap.JobStatus.COMPLETED]
for component in completed:
    result = m.get(component)
    # Whatever processing needs to be done
    print(result)
print(m.components_by_status()[htmap.JobStatus.ERRORED], m.components_by_status()[htmap.JobStatus.HELD])
"""


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        pytest.param(FILTER, f"{[((n,), {}) for n in (0, 2, 4, 6, 8)]}\n", id="filter"),
        pytest.param(
            GROUPBY,
            f"True {[((n,), {}) for n in (0, 2, 4, 6, 8)]}\nFalse {[((n,), {}) for n in (1, 3, 5, 7, 9)]}\n",
            id="groupby",
        ),
        pytest.param(BUILDER, "[1, 4, 27]\n", id="builder"),
        pytest.param(BY_STATUS, f"0.5\n0.25\n{1 / 6}\n0.125\n(0,) ()\n", id="components_by_status"),
    ],
)
def test_snippets_of_the_manual(script: str, printed: str, shell: Shell) -> None:
    """What the manual has as scripts runs as scripts, with the functions in ``__main__``."""
    assert run(shell, script) == printed


# Scripts make all their maps first, so that these run at the same time, and print what is wrong with them.
CHECKS = """
import htrun

_made = []

def check(function, inputs, expected, **options):
    _made.append((htrun.map(function, inputs, **options), expected))

def done():
    for made, expected in _made:
        outputs = list(made)
        if callable(expected):
            assert expected(outputs), outputs
        else:
            assert outputs == expected, (outputs, expected)
    print("all", len(_made), "right")
"""

FUNCTIONS = """
import functools
import math
import sys

from checks import check, done
import htrun
from htrun import TransferPath

def adder(number):
    def add(x):
        return x + number
    return add

def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return [function.__name__, function(*args, **kwargs)]
    return wrapper

@logged
def halve(x):
    "Return the half."
    return x / 2

def power(base, exponent):
    return base ** exponent

def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)

@htrun.mapped
def mapped_factorial(n):
    return 1 if n < 2 else n * mapped_factorial(n - 1)

def reads(path: htrun.TransferPath, default=htrun.TransferPath("none.txt")) -> htrun.TransferPath | None:
    return path.read_text() + default.name + TransferPath("more").name + htrun.TransferPath("other").name

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

class Scale:
    factor = 3

    def __init__(self, offset):
        self.offset = offset

    def __call__(self, x):
        return self.factor * x + self.offset

    def method(self, x):
        return self(x)

    @staticmethod
    def static(x):
        return -x

    @classmethod
    def of_class(cls, x):
        return cls.factor * x

GLOBAL = 10

def uses_global(x):
    return GLOBAL + x

def defaults(x, *, y=5, **rest):
    return x + y

def squares(n):
    return [i * i for i in range(n)]

@functools.lru_cache(maxsize=None)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

numbers = [1, 2, 3]
check(adder(10), numbers, [11, 12, 13])
check(lambda x: x * GLOBAL, numbers, [10, 20, 30])
check(functools.partial(power, exponent=2), numbers, [1, 4, 9])
check(functools.partial(power, 2), numbers, [2, 4, 8])
check(halve, numbers, [["halve", 0.5], ["halve", 1.0], ["halve", 1.5]])
check(factorial, numbers, [1, 2, 6])
check(mapped_factorial, numbers, [1, 2, 6])
TransferPath("text").write_text("read")
check(reads, [TransferPath("text")], ["readnone.txtmoreother"])
check(lambda f: f(3), [mapped_factorial], [6])
check(even, numbers, [False, True, False])
check(Scale(1), numbers, [4, 7, 10])
check(Scale(1).method, numbers, [4, 7, 10])
check(Scale.static, numbers, [-1, -2, -3])
check(Scale.of_class, numbers, [3, 6, 9])
check(uses_global, numbers, [11, 12, 13])
check(defaults, numbers, [6, 7, 8])
check(squares, numbers, [[0], [0, 1], [0, 1, 4]])
check(fibonacci, [10, 90], [55, 2880067194370816120])
check(lambda x: sys.argv[1:], [1], [[]])  # not those of the runner
check(math.factorial, numbers, [1, 2, 6])
check(str, numbers, ["1", "2", "3"])
check("{}!".format, numbers, ["1!", "2!", "3!"])
check(Scale, numbers, lambda outputs: [type(o) for o in outputs] == 3 * [Scale] and outputs[2].offset == 3)
check(lambda f: f(2), [factorial, Scale(0), lambda x: -x], [2, 6, -2])
GLOBAL = 99  # too late for the maps that were made
done()
"""

MODULES = {
    "penguins.py": """
        import dataclasses
        import enum
        import functools

        import colony.names

        class Kind(enum.Enum):
            KING = "king"
            EMPEROR = "emperor"

        class TooHungry(Exception):
            pass

        class Penguin:
            def __init__(self, name, kind):
                self.name = name
                self.kind = kind

        @dataclasses.dataclass(frozen=True)
        class Weighed:
            penguin: Penguin
            weight: float

        def weigh(penguin):
            assert type(penguin) is Penguin and penguin.kind in Kind
            if penguin.name == "Gary":
                raise TooHungry(penguin.name)
            return Weighed(penguin, float(len(penguin.name)))

        @functools.lru_cache
        def length(name):
            return len(name)

        def title(penguin):
            return colony.names.title(penguin.name)
        """,
    "guards.py": """
        import functools
        import threading

        lock = threading.Lock()
        local = threading.local()

        def guarded(x):
            with lock:
                local.x = x
            if x < 0:
                raise ValueError("below")
            return local.x + 1

        @functools.singledispatch
        def kind(x):
            return "another"

        @kind.register
        def _(x: int):
            return "int"
        """,
    "colony/__init__.py": "",
    "colony/names.py": """
        from . import ranks

        def title(name):
            from .ranks import suffix
            return f"{ranks.RANK} {name} {suffix()}"
        """,
    "colony/ranks.py": """
        RANK = "Sir"

        def suffix():
            return "the Third"
        """,
}
MODULES_SCRIPT = """
import guards
import penguins
from checks import check, done
from colony.names import title
from penguins import Kind, Penguin, Weighed, weigh
import htrun

class Local(Penguin):
    pass

def imports_inside(name):
    import colony.ranks
    from penguins import Penguin
    return Penguin(name, colony.ranks.RANK)

def makes(name):
    return Local(name, Kind.KING)

birds = [Penguin("Gwen", Kind.KING), Penguin("Gweniffer", Kind.EMPEROR)]
check(weigh, birds, lambda outputs: [type(o) for o in outputs] == [Weighed, Weighed]
      and all(type(o.penguin) is Penguin for o in outputs) and outputs[1].penguin.kind is Kind.EMPEROR
      and outputs[0].weight == 4.0)
check(penguins.title, birds, ["Sir Gwen the Third", "Sir Gweniffer the Third"])
check(penguins.length, ["Gwen"], [4])
check(lambda name: penguins.length(name), ["Gwen"], [4])
check(title, ["Gwen"], ["Sir Gwen the Third"])
check(lambda bird: bird.kind, birds, lambda outputs: outputs[0] is Kind.KING and outputs[1] is Kind.EMPEROR)
check(imports_inside, ["Gwen"], lambda outputs: type(outputs[0]) is Penguin and outputs[0].kind == "Sir")
check(makes, ["Gwen"], lambda outputs: type(outputs[0]) is Local and outputs[0].kind is Kind.KING)
check(lambda pair: pair, [(birds[0], {"kind": Kind.KING})], lambda outputs: type(outputs[0][0]) is Penguin)
# These have locks and the like beside them, and so cannot be pickled but by their names.
check(guards.guarded, [1, 2], [2, 3])
check(lambda x: [guards.guarded(x), guards.kind(x)], [1], [[2, "int"]])
check(guards.kind, [1, "1"], ["int", "another"])
check(lambda f: f(1), [guards.guarded, guards.kind], [2, "int"])
below = htrun.map(guards.guarded, [-1]).get_err(0)
assert below.stack_summary[-1].line == 'raise ValueError("below")', below.stack_summary[-1].line
hungry = htrun.map(weigh, [Penguin("Gary", Kind.KING)])
error = hungry.get_err(0)
assert error.exception_msg == "penguins.TooHungry: Gary", error.exception_msg
assert error.stack_summary[-1].name == "weigh", error.stack_summary
assert error.stack_summary[-1].line == "raise TooHungry(penguin.name)", error.stack_summary[-1].line
(args, kwargs), = hungry.iter_inputs()
assert type(args[0]) is Penguin and args[0].kind is Kind.KING
done()
"""

INPUTS = """
import gc
import weakref

import numpy as np

from checks import check, done
import htrun

class Big:
    alive = weakref.WeakSet()

    def __init__(self, number):
        self.number = number
        self.alive.add(self)

asked = []
most = 0

def inputs():
    global most
    for number in range(50):
        asked.append(number)
        yield Big(number)
        most = max(most, len(Big.alive))

check(lambda big: big.number, inputs(), list(range(50)), map_options=None)
assert asked == list(range(50)), asked
assert most <= 3, most

arrays = [np.arange(4.0), np.eye(2), np.array(["a", "b"])]
check(lambda array: array[::-1], arrays, lambda outputs: all(
    type(o) is np.ndarray and o.dtype == a.dtype and (o == a[::-1]).all() for o, a in zip(outputs, arrays)))
check(np.sum, [np.ones(3), np.zeros(2)], lambda outputs: outputs == [3.0, 0.0] and type(outputs[0]) is np.float64)
check(lambda x: x, [1 + 2j, {3}, b"4", (5, [6]), None, float("inf")], [1 + 2j, {3}, b"4", (5, [6]), None, float("inf")])

def endless():
    number = 0
    while True:
        yield number
        number += 1

check(lambda x: x, (n for n, _ in zip(endless(), "abc")), [0, 1, 2])
star = htrun.starmap(lambda *args, **kwargs: (args, kwargs), iter([(1, 2), (3,)]), ({"k": k} for k in range(3)))
assert list(star) == [((1, 2), {"k": 0}), ((3,), {"k": 1}), ((), {"k": 2})], list(star)

def broken():
    yield 1
    raise LookupError("no more")

before = htrun.get_tags()
try:
    htrun.map(str, broken(), tag="broken")
except LookupError as error:
    assert str(error) == "no more"
else:
    raise AssertionError("it was swallowed")
assert htrun.get_tags() == before
done()
"""


@pytest.mark.parametrize("script", [FUNCTIONS, MODULES_SCRIPT, INPUTS], ids=["functions", "modules", "inputs"])
def test_what_scripts_are_made_of(script: str, shell: Shell) -> None:
    """Functions of all kinds, modules and classes beside the script, and inputs of all kinds give what they should."""
    shell.write("checks.py", CHECKS)
    for name, text in MODULES.items():
        shell.write(name, text)
    assert re.fullmatch(r"all \d+ right\n", run(shell, script, "some", "arguments"))
