"""The process that runs components, one after the other, and appends a record of each."""

from __future__ import annotations

import json
import os
import time

from . import environment, failures, hooks, outputs, records, values, wire
from .calls import brought_files, decode_call
from .capture import Capture, Pipe
from .files import copy_directory, remove_tree
from .loading import load_function
from .process import QUICK_SECONDS, ProcessState, set_variable, watch
from .scratch import Scratch, component_scratch
from .timeouts import Alarm, ComponentTimeout
from .usage import Meter, disk_kb

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

    from .calls import Calls
    from .slots import Board
    from .spec import Spec

_LONG_SECONDS = 2.0
"""After this the tens of milliseconds that it takes to list packages are little; else only failures ask for them."""

_COMPONENT_VARIABLE = wire.COMPONENT_VARIABLE.encode("ascii")

DONE = b"."
FAILED = b"E"
HELD = b"H"
PUT_OFF = b"P"
_AGAIN = b"A"
_HEAD = records.PREFIX + ',"attempt":%d,"node":%s,"started":%.6f,"wall_s":%.6f,"cpu_s":%.6f,"memory_mb":%.1f%s%s%s'
_PRINTED = ',"stdout":[%d,%d],"stderr":[%d,%d]'


class Held(Exception):
    """A component cannot begin before a user has seen to something."""

    def __init__(self, error: OSError) -> None:
        self.reason = "error reading from %s: (errno %s) %s" % (error.filename, error.errno, error.strerror)
        self.code = 13  # of HTCondor's HoldReasonCode: input files could not be transferred
        self.subcode = error.errno or 0


class Worker:
    """Runs the ranges of calls that its supervisor sends it.

    Parameters
    ----------
    spec : Spec
        What to run, and where.
    calls : calls.Calls
        The calls, by position.
    directory : str
        The job directory: records, stdout and stderr are appended to there.
    scratch : str
        Where components run, in a directory in it that is emptied after each.
    board : slots.Board
        Shared memory where the supervisor reads which component is running, should this process die.
    """

    def __init__(self, spec: Spec, calls: Calls, directory: str, scratch: str, board: Board) -> None:
        self.spec = spec
        self.calls = calls
        self.directory = directory
        self.base = scratch
        self.board = board
        self.saved: set[int] = set()  # the components of a range that have a checkpoint
        self.pid = os.getpid()
        self.is_fork = False  # of a worker, made by a function
        os.register_at_fork(after_in_child=self._forked)
        self.function: Callable[..., Any] | None = None
        self.process: ProcessState | None = None  # as importing the target has left it
        self.alarm = Alarm(spec.timeout, board) if spec.timeout is not None else None
        self.load_error: tuple[BaseException, TracebackType | None] | None = None
        self.environment_written = False
        self.spans: list[tuple[int, int]] = []  # where the last component's output is
        self.printed = ""  # what its record says of that
        self.timed_out = False
        self.began = time.monotonic()

    def run(self, commands: int, replies: int) -> None:
        """Work through ranges read from ``commands`` until it closes; answer each on ``replies``."""
        self._open()
        orders, answers = Pipe(commands), Pipe(replies)
        while True:
            line = orders.read()
            if not line:
                break
            start, stop = map(int, line.split())
            self.saved = hooks.saved(self.spec.checkpoints)
            for component, call in self.calls.read(start, stop):
                answer = self._run(component, call)
                while answer == _AGAIN:
                    answer = self._run(component, call)
                if answer != DONE:
                    answers.write(answer)
                if self._is_spent():
                    os._exit(failures.SPENT)
            answers.write(DONE)
        if time.monotonic() - self.began > _LONG_SECONDS:
            self._write_environment()
        os.chdir(self.directory)
        remove_tree(self.base)

    def _open(self) -> None:
        scratch = os.path.realpath(component_scratch(self.base))
        os.environ[wire.ON_EXECUTE] = "1"
        os.environ[wire.SCRATCH_VARIABLE] = scratch
        os.environ[wire.CHECKPOINTS_VARIABLE] = self.spec.checkpoints
        hooks.current = self.place = hooks.Place(scratch, self.spec.checkpoints, self.spec.after_checkpoint)
        for left in (scratch, self.place.outputs):  # by one that killed its process
            if os.path.isdir(left) and os.listdir(left):
                remove_tree(left)
        self.scratch = Scratch(scratch, self.directory)
        self.capture = Capture(self.directory, self.base)
        self.meter = Meter()

    def _run(self, component: int, call: bytes) -> bytes:
        """Run one component and append its record; return what to answer of it."""
        started = time.time()
        self.board.begin(component, started)
        set_variable(_COMPONENT_VARIABLE, b"%d" % component)
        self.place.component = component
        encoded: values.Encoded | None = None
        error: dict[str, Any] | None = None
        notes = []  # what is only there to be told if there is any; lists of files, which may be long, come last
        tick = time.perf_counter()
        try:
            self.scratch.enter()
            brought = brought_files(call)
            if brought:
                self._bring(brought)
            if component in self.saved:
                hooks.restore(self.place.checkpoint, self.scratch.path)
            if brought or component in self.saved:
                self.meter.start()  # what fetched them does not count
                notes.append(',"transfer_in_s":%.6f' % (time.perf_counter() - tick))
                notes.append(',"scratch_before":' + json.dumps(failures.list_scratch(self.scratch.path)))
            function = self.function or self._load()
            # Only now: it may need the modules of the function.
            args, kwargs = decode_call(call, self.scratch.path, self.spec.python)
            tick = time.perf_counter()
            result = function(*args, **kwargs) if self.alarm is None else self.alarm.call(function, args, kwargs)
            wall = time.perf_counter() - tick
            self._come_back(wall)
            encoded = values.encode(result)
        except Held as hold:
            return self._hold(component, hold)
        except BaseException as exception:  # SystemExit and KeyboardInterrupt are this component's errors as well
            wall = time.perf_counter() - tick
            self._come_back(wall)
            error = failures.describe_exception(exception, self.spec.sources)
            self.timed_out = isinstance(exception, ComponentTimeout)
        result = None  # what it holds must not outlive the component
        used = self.scratch.is_used()
        hooked = used and os.path.isdir(self.place.outputs)
        if error is not None and self._may_try_again(component):
            return self._try_again(component, error, hooked=hooked)
        disk = disk_kb(self.scratch.path, self.place.outputs) if used else 0
        if hooked:
            tick = time.perf_counter()
            rows, problem = outputs.take(
                self.base, self.directory, component, self.spec.remaps(component), self.spec.send
            )
            if problem is not None:
                problem = problem.with_traceback(None)  # no code of the user's has a part in it
                error = error or failures.describe_exception(problem, self.spec.sources)
                if self._may_try_again(component):
                    return self._try_again(component, error, hooked=hooked)
            if rows:
                notes[:0] = [',"transfer_out_s":%.6f,"files":%s' % (time.perf_counter() - tick, json.dumps(rows))]
        cpu, memory = self.meter.read(wall)
        measures = started, wall, cpu, memory, disk
        try:
            self._record(component, measures, encoded, error, notes, used=used)
        except OSError as full:
            if not failures.is_no_space(full):
                raise
            self.scratch.renew()  # what has filled the disk may be what this very component has left there
            self._record(component, measures, encoded, error, notes, used=False)
        self.board.end()
        saved = (hooked or component in self.saved) and os.path.exists(self.place.checkpoint)
        if saved:
            os.unlink(self.place.checkpoint)
        if used:
            self.scratch.renew()
        self.spec.after_component(self.place.checkpoint if saved else None)
        return DONE if error is None else FAILED

    def _record(
        self,
        component: int,
        measures: tuple[float, float, float, float, int],
        encoded: values.Encoded | None,
        error: dict[str, Any] | None,
        notes: list[str],
        *,
        used: bool,
    ) -> None:
        """Append the record of a component.

        Parameters
        ----------
        component : int
        measures : (float, float, float, float, int)
            When it started, in seconds since the epoch, how many seconds it took, and what it used: seconds of
            processor time, MiB of memory, KiB of disk space.
        encoded : values.Encoded or None
            The output, of one that has completed.
        error : dict or None
            The error, of one that has not.
        notes : list of str
            What else its record says.
        used : bool
            Whether there is anything in its scratch directory.

        Raises
        ------
        OSError
            Such as of a full disk; then it can be called again.
        """
        spans = self.capture.settle()
        if spans is not self.spans:
            self.spans, self.printed = spans, _PRINTED % (*spans[0], *spans[1])
        attempts = self.spec.attempts
        note = attempts.note(self.directory, component)
        if notes:
            note = "".join(notes) + note
        left = failures.list_scratch(self.scratch.path) if used else []
        if error is None:
            assert encoded is not None
            status, tail = wire.COMPLETED, self._output(component, encoded)
            if left:
                note += ',"scratch":' + json.dumps(left)
        else:
            error.setdefault("scratch", left)
            self._write_environment()
            status, tail = wire.ERRORED, ',"error":' + json.dumps(error)
        started, wall, cpu, memory, disk = measures
        head = _HEAD % (
            component,
            status,
            attempts.number(component),
            self.spec.node,
            started,
            wall,
            cpu,
            memory,
            ',"disk_kb":%d' % disk if disk else "",
            self.printed,
            note,
        )
        self.capture.append(head + tail + "}\n")

    def _may_try_again(self, component: int) -> bool:
        """Tell whether another attempt at a component that has failed is due, and can be of any use."""
        attempts = self.spec.attempts
        return attempts.are_left(component) and (self.load_error is None or attempts.elsewhere)

    def _try_again(self, component: int, error: dict[str, Any], *, hooked: bool) -> bytes:
        """Note a failed attempt and what it has printed, and drop the files that it has handed over."""
        self.spec.attempts.fail(self.directory, component, error, *self.capture.settle())
        self.capture.begin()
        if hooked:
            outputs.drop(self.base, self.directory, component)
            if os.path.exists(self.place.checkpoint):
                self.saved.add(component)
        self.meter.start()
        if self.scratch.is_used():
            self.scratch.renew()
        if self._is_spent():
            return DONE  # with the component on the board: the supervisor sees to it
        self.board.end()
        self.spec.after_component(None)
        return PUT_OFF if self.spec.attempts.elsewhere else _AGAIN

    def _hold(self, component: int, hold: Held) -> bytes:
        """Note why a component cannot begin."""
        row = {"component": component, "reason": hold.reason, "code": hold.code, "subcode": hold.subcode}
        with open(os.path.join(self.directory, wire.HOLDS), "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.board.end()
        self.scratch.renew()
        return HELD

    def _is_spent(self) -> bool:
        """Tell whether no other component can have this process.

        After a time-out the threads and children of the function go on, and its locks are held for ever.
        """
        return self.timed_out or (self.process is not None and self.process.is_spoiled)

    def _forked(self) -> None:
        self.is_fork = True

    def _come_back(self, seconds: float) -> None:
        """Undo what the function did to the process; end one that it forked: the component is the parent's."""
        if self.is_fork or (seconds > QUICK_SECONDS and os.getpid() != self.pid):  # by Python, or past it
            os._exit(0)
        if self.process is not None:
            self.process.restore(seconds)

    def _load(self) -> Callable[..., Any]:
        if self.load_error is not None:
            error, traceback = self.load_error
            raise error.with_traceback(traceback)
        try:
            if self.spec.packages is not None:
                from . import packages

                packages.use(self.spec.packages, self.spec.python)
            watch()
            self.function = load_function(self.spec.reference, self.spec.sources, self.spec.python)
            self.meter.skip_time()  # a component's own begins with its call
            if self.alarm is not None:
                self.alarm.install()
            self.process = ProcessState(free=_COMPONENT_VARIABLE)
        except BaseException as error:
            self.load_error = (
                error,
                error.__traceback__,
            )  # the same for each component; importing again would not mend it
            raise
        return self.function

    def _bring(self, files: list[tuple[str, str]]) -> None:
        for identifier, name in files:
            import shutil  # only now: most jobs do without

            source = self.spec.file(identifier)
            target = os.path.join(self.scratch.path, *name.split("/"))
            parent = os.path.dirname(target)
            if parent != self.scratch.path:
                os.makedirs(parent, exist_ok=True)
            try:
                if self.spec.fetch is not None and not os.path.isabs(source):
                    self.spec.fetch(source, target)
                elif os.path.isdir(source):
                    copy_directory(source, target, contents=name == "." or name.endswith("/."))
                else:
                    shutil.copy2(source, target)
            except OSError as error:
                if self.spec.holds and error.filename == source:
                    raise Held(error) from error
                raise

    def _output(self, component: int, encoded: values.Encoded) -> str:
        if encoded.pickle is None and encoded.json is not None and len(encoded.json) <= wire.INLINE_LIMIT:
            return ',"output":' + encoded.json
        parts = []
        if encoded.nonfinite:
            parts.append(',"nonfinite":%d' % encoded.nonfinite)
        if encoded.pickle is not None:
            if len(encoded.pickle) > wire.INLINE_LIMIT:
                parts.append(',"pickle_file":"%s"' % self._side_file(component, "pickle", encoded.pickle))
            else:
                import base64

                parts.append(',"pickle":"%s"' % base64.b64encode(encoded.pickle).decode("ascii"))
        if encoded.json is None:
            parts.append(',"unexportable":%s,"repr":%s' % (json.dumps(encoded.reason), json.dumps(encoded.repr)))
        elif len(encoded.json) > wire.INLINE_LIMIT:
            name = self._side_file(component, "json", encoded.json.encode("utf-8"))
            parts.append(',"output_file":"%s"' % name)
        else:
            parts.append(',"output":' + encoded.json)  # last, so that collecting can cut it out unparsed
        return "".join(parts)

    def _side_file(self, component: int, kind: str, data: bytes) -> str:
        name = "%s%d.%s" % (wire.SIDE_FILE, component, kind)
        path = os.path.join(self.directory, name)
        with open(path + ".part", "wb") as file:
            file.write(data)
        os.replace(path + ".part", path)
        return name

    def _write_environment(self) -> None:
        if not self.environment_written:
            environment.write(self.directory)
            self.environment_written = True
