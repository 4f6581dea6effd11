"""The process a script of the plant runs in. It stands alone: nothing of Isthmus is imported, and nothing of ours is reachable.

Started by `script_process` with an environment of its own and an empty folder. It talks in messages of JSON behind
their length (uint32): first the script with its limits, answered by what confines it; then batches of calls, answered
by results as they come. Before each call its number goes into a second pipe, so that whoever ends this process knows
which call it was in. State is kept here and told with every result, as text, so that the next process can go on.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import math
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

GOOD = 0
UNCERTAIN = 0x40000000
BAD = 0x80000000
BAD_INTERNAL_ERROR = 0x80020000
BAD_RESOURCE_UNAVAILABLE = 0x80040000
BAD_OUT_OF_RANGE = 0x803C0000
BAD_TYPE_MISMATCH = 0x80740000

MAX_REASON_CHARS = 300
MAX_PRINTED_CHARS = 4_000
MAX_TEXT_CHARS = 65_536
MAX_STATE_CHARS = 64_000
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
SEND_EVERY_NS = 20_000_000
SEND_RESULTS = 256

LENGTH = struct.Struct("<I")

Result = list[Any]  # [value, status, reason, state as JSON or None]


class Input:
    """One input: ``value`` is None where it is bad; ``time_ns`` is when it was sampled, UTC ns."""

    __slots__ = ("status", "time_ns", "value")

    def __init__(self, value: Any, time_ns: int, status: int) -> None:
        self.value, self.time_ns, self.status = (None if status & BAD else value), time_ns, status

    @property
    def good(self) -> bool:
        """May be counted on."""
        return not self.status & 0xC0000000

    @property
    def bad(self) -> bool:
        """Has no value."""
        return bool(self.status & BAD)


class Inputs:
    """All inputs of a call: `inputs.speed` or `inputs["speed"]`."""

    __slots__ = ("_found",)

    def __init__(self, found: dict[str, Input]) -> None:
        self._found = found

    def __getattr__(self, name: str) -> Input:
        try:
            return self._found[name]
        except KeyError:
            raise AttributeError(f"there is no input {name}; declared are {', '.join(self._found)}") from None

    def __getitem__(self, name: str) -> Input:
        return self._found[name]

    def __iter__(self) -> Any:
        return iter(self._found.items())


class Judged:
    """What `bad(reason)` and `uncertain(value, reason)` return."""

    __slots__ = ("reason", "status", "value")

    def __init__(self, value: Any, status: int, reason: str) -> None:
        self.value, self.status, self.reason = value, status, str(reason)[:MAX_REASON_CHARS]


def bad(reason: str) -> Judged:
    """There is no value, and this is why."""
    return Judged(None, BAD, reason)


def uncertain(value: Any, reason: str) -> Judged:
    """A value one may look at and not count on."""
    return Judged(value, UNCERTAIN, reason)


class Printed:
    """Stands for stdout and stderr: keeps the beginning, counts the rest."""

    def __init__(self) -> None:
        self.text, self.chars = "", 0

    def write(self, text: str) -> int:
        """Takes a text as a file would."""
        if len(self.text) < MAX_REASON_CHARS:
            self.text += text[: MAX_REASON_CHARS - len(self.text)]
        self.chars += len(text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""


# --- what confines the process ----------------------------------------------------------------------------------------


def confine(memory_bytes: int) -> list[str]:
    """Takes away what a script has no business with; names what the system granted.

    Guarantees everywhere: limits on memory (macOS: watched after each batch), no core files, no writing of files, and an
    audit hook that refuses sockets, processes, foreign code and files outside Python's own folders.
    Linux, where the kernel allows it: no network (its own network namespace), no files but Python's (Landlock).
    """
    import resource

    roots = _python_folders()
    granted = _linux(roots) if sys.platform == "linux" else []
    for name, limit in (("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", 0), ("RLIMIT_NPROC", 0), ("RLIMIT_AS", memory_bytes)):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (limit, limit))
            granted.append(name)
    for name in ("ctypes", "_ctypes", "ctypes._endian", "resource"):
        sys.modules.pop(name, None)
    os.environ.clear()
    _refuse_threads()
    _refuse_by_audit(roots, resource.RLIMIT_CPU)
    return [*granted, "audit"]


def _refuse_threads() -> None:
    """A call is over when it returns."""
    import _thread

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise PermissionError("a script may not start threads")

    for name in ("start_new_thread", "start_new", "start_joinable_thread"):
        if hasattr(_thread, name):
            setattr(_thread, name, refuse)
    for name in ("threading", "_threading_local"):
        sys.modules.pop(name, None)


def _python_folders() -> tuple[str, ...]:
    found = {sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.__file__)}  # noqa: PTH120  pathlib costs a quarter of the start
    found |= {p for p in sys.path if p.startswith("/") and not p.endswith(".zip")}
    return tuple(sorted(os.path.realpath(f) for f in found))


def _linux(roots: tuple[str, ...]) -> list[str]:
    granted = []
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG: a script never outlives its edge
        if libc.unshare(0x10000000 | 0x40000000) == 0:  # CLONE_NEWUSER | CLONE_NEWNET
            granted.append("network namespace")
        if _landlock(libc, ctypes, roots):
            granted.append("landlock")
    except (ImportError, OSError, AttributeError):
        pass
    return granted


def _landlock(libc: Any, ctypes: Any, roots: tuple[str, ...]) -> bool:
    """Only reading, and only below the given folders and the system's libraries.

    Source: Linux kernel documentation, userspace-api/landlock (system calls 444 to 446)
    """
    version = libc.syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1:
        return False
    rights = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    handled = ctypes.c_uint64((1 << rights) - 1)
    rules = libc.syscall(444, ctypes.byref(handled), ctypes.c_size_t(8), ctypes.c_uint32(0))
    if rules < 0:
        return False
    try:
        for root in (*roots, "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo"):
            with contextlib.suppress(OSError):
                fd = os.open(root, os.O_PATH | os.O_CLOEXEC)
                may = 0b1100 if os.path.isdir(root) else 0b0100  # noqa: PTH112  as above: read folder, read file
                rule = struct.pack("<Qi", may, fd)
                libc.syscall(445, rules, 1, rule, ctypes.c_uint32(0))
                os.close(fd)
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        return bool(libc.syscall(446, rules, ctypes.c_uint32(0)) == 0)
    finally:
        os.close(rules)


_REFUSED = (
    "socket.", "subprocess.", "ctypes.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.kill",
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate",
    "os.utime", "os.setxattr", "os.startfile", "os.chdir", "shutil.", "tempfile.", "resource.", "signal.", "pty.",
    "urllib.", "http.", "ftplib.", "smtplib.", "sqlite3.", "webbrowser.", "_thread.", "sys.settrace", "sys.setprofile",
    "gc.", "mmap.", "pdb.", "code.__new__", "cpython.",
)  # fmt: skip
_NO_IMPORT = frozenset({
    "ctypes", "_ctypes", "socket", "_socket", "subprocess", "_posixsubprocess", "multiprocessing", "_multiprocessing",
    "signal", "resource", "ssl", "_ssl", "mmap", "fcntl",
})  # fmt: skip
_READ_ONLY = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _refuse_by_audit(roots: tuple[str, ...], cpu: int) -> None:
    """From here on the interpreter itself says no. Cannot be taken back; only the limit of CPU time stays ours to move."""
    below = tuple(root + "/" for root in roots)
    refused, no_import, read_only = _REFUSED, _NO_IMPORT, _READ_ONLY
    real, decode = os.path.realpath, os.fsdecode

    def allowed(path: Any) -> bool:
        if isinstance(path, int):
            return False
        try:
            return (real(decode(path)) + "/").startswith(below)
        except (TypeError, ValueError):
            return False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import":
            if arguments[0] in no_import:
                raise ImportError(f"a script may not import {arguments[0]}")
        elif event == "open":
            path, _, flags = arguments
            if (isinstance(flags, int) and flags & read_only) or not allowed(path):
                raise PermissionError("a script may not open files")
        elif event in {"os.listdir", "os.scandir"}:
            if not allowed(arguments[0] if arguments[0] is not None else "."):
                raise PermissionError("a script may not look into folders")
        elif event.startswith(refused) and not (event == "resource.setrlimit" and arguments[1] == cpu):
            raise PermissionError(f"a script may not do this ({event})")

    sys.addaudithook(hook)


# --- calls ------------------------------------------------------------------------------------------------------------


def _reason(error: BaseException, file: str) -> str:
    """The error in a line, with the line of the script it came from."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    try:
        told = f"{type(error).__name__}: {error}"
    except Exception:
        told = type(error).__name__
    place = f" ({file}:{line})" if line else ""
    return told[: MAX_REASON_CHARS - len(place)] + place


def _plain(value: Any) -> tuple[Any, int, str]:
    """A returned value as one that travels: value, status, reason."""
    if not isinstance(value, bool | int | float | str) and hasattr(value, "item"):
        value = value.item()  # a scalar of numpy
    if isinstance(value, bool):
        return int(value), GOOD, ""
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return int(value), GOOD, ""
        return None, BAD_OUT_OF_RANGE, "returned a whole number beyond 64 bits"
    if isinstance(value, float):
        return (float(value), GOOD, "") if math.isfinite(value) else (None, BAD_OUT_OF_RANGE, f"returned {value}")
    if isinstance(value, str):
        if len(value) > MAX_TEXT_CHARS:
            return None, BAD_OUT_OF_RANGE, f"returned a text longer than {MAX_TEXT_CHARS} characters"
        return str(value), GOOD, ""
    told = "nothing" if value is None else f"a value of type {type(value).__name__}"
    return None, BAD_TYPE_MISMATCH, f"returned {told}"


class Caller:
    """The script's functions and the state of each tag."""

    def __init__(self, setup: dict[str, Any], namespace: dict[str, Any], printed: Printed) -> None:
        self._file, self._namespace, self._printed = str(setup["file"]), namespace, printed
        self._states: dict[int, str] = {int(tag): text for tag, text in setup["states"].items()}

    def call(self, tag: int, function: str, time_ns: int, given: dict[str, list[Any]], with_state: bool) -> Result:
        """One call. Raises: MemoryError, after which this process is not to be trusted"""
        self._printed.chars = 0
        inputs = Inputs({name: Input(*one) for name, one in given.items()})
        try:
            found = self._namespace[function]
            if with_state:
                kept = self._states.get(tag)
                answer = found(inputs, time_ns, None if kept is None else json.loads(kept))
            else:
                answer = found(inputs, time_ns)
            result = self._answered(tag, answer, with_state)
        except MemoryError:
            raise
        except BaseException as error:
            if isinstance(error, SystemExit):
                return [None, BAD_INTERNAL_ERROR, "the script exits: a function must return", None]
            return [None, BAD_INTERNAL_ERROR, _reason(error, self._file), None]
        if self._printed.chars > MAX_PRINTED_CHARS:
            return [None, BAD_INTERNAL_ERROR, f"prints more than {MAX_PRINTED_CHARS} characters in one call", None]
        return result

    def _answered(self, tag: int, answer: Any, with_state: bool) -> Result:
        text: str | None = None
        if with_state:
            if not isinstance(answer, tuple) or len(answer) != 2:
                return [None, BAD_TYPE_MISMATCH, "must return (value, state), as state is declared", None]
            answer, state = answer
            text = json.dumps(state, allow_nan=False)
            if len(text) > MAX_STATE_CHARS:
                return [None, BAD_OUT_OF_RANGE, f"keeps a state larger than {MAX_STATE_CHARS} characters", None]
        if isinstance(answer, Judged):
            value, status, reason = (None, GOOD, "") if answer.status & BAD else _plain(answer.value)
            result = [value, status, reason, text] if status else [value, answer.status, answer.reason, text]
        else:
            result = [*_plain(answer), text]
        if text is not None:
            self._states[tag] = text
        return result


def _receive(source: int) -> Any:
    """The next message; ends the process when the other side is gone."""
    size = LENGTH.unpack(_exactly(source, LENGTH.size))[0]
    if size > MAX_MESSAGE_BYTES:
        _end(3)
    return json.loads(_exactly(source, size))


def _exactly(source: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(source, min(size, 1 << 20))
        if not part:
            _end(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _end(code: int) -> NoReturn:
    os._exit(code)


def _send(sink: int, message: Any) -> None:
    data = json.dumps(message).encode()
    data = LENGTH.pack(len(data)) + data
    while data:
        data = data[os.write(sink, data) :]


def _load(setup: dict[str, Any]) -> dict[str, Any]:
    """Runs the script's own lines once, with `bad` and `uncertain` at hand."""
    namespace: dict[str, Any] = {"__name__": "script", "__builtins__": builtins, "bad": bad, "uncertain": uncertain}
    code = compile(setup["text"], setup["file"], "exec", dont_inherit=True)
    exec(code, namespace)  # noqa: S102  this is what the process is for; it is confined before
    return namespace


def _beyond(memory_bytes: int) -> bool:
    """Whether this process ever held more than it may, where the system itself does not refuse it (macOS).

    Linux does, and there the figure would be wrong: a process begins with the peak of the one that started it.
    """
    return sys.platform == "darwin" and int(_usage(0).ru_maxrss) > memory_bytes


def _limit_cpu(seconds: float) -> None:
    """A last resort should nobody watch: the system ends the process when it computes for so long from now on."""
    used = _usage(0)
    soft = math.ceil(used.ru_utime + used.ru_stime + seconds) + 1
    with contextlib.suppress(ValueError, OSError):
        _set_limit(_CPU, (soft, -1))


_usage: Callable[[int], Any]
_set_limit: Callable[[int, tuple[int, int]], None]
_CPU = 0


def main() -> None:
    """Until the other side closes its end."""
    global _usage, _set_limit, _CPU  # set once, before the audit hook forbids the module they come from
    import resource

    _usage, _set_limit, _CPU = resource.getrusage, resource.setrlimit, resource.RLIMIT_CPU
    source, sink, marks = os.dup(0), os.dup(1), int(sys.argv[1])
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    setup = _receive(source)
    printed = Printed()
    sys.stdin, sys.stdout, sys.stderr = None, printed, printed
    memory = int(setup["memory_bytes"])
    granted = confine(memory)
    try:
        _limit_cpu(10)
        caller = Caller(setup, _load(setup), printed)
    except MemoryError:
        _send(sink, {"refused": f"needs more than {memory // 1_000_000} MB of memory to begin"})
        _end(4)
    except BaseException as error:
        _send(sink, {"refused": _reason(error, setup["file"])})
        _end(4)
    _send(sink, {"ready": granted})
    while True:
        _batch(_receive(source), caller, printed, sink, marks, memory)


def _batch(batch: dict[str, Any], caller: Caller, printed: Printed, sink: int, marks: int, memory: int) -> None:
    _limit_cpu(batch["cpu_s"])
    results: list[Result] = []
    sent_ns = time.monotonic_ns()
    printed.text = ""
    for number, call in enumerate(batch["calls"]):
        if len(results) >= SEND_RESULTS or (results and time.monotonic_ns() - sent_ns > SEND_EVERY_NS):
            _send(sink, {"results": results})
            results, sent_ns = [], time.monotonic_ns()
        os.write(marks, LENGTH.pack(number))
        try:
            results.append(caller.call(*call))
        except MemoryError:
            _over(sink, results)
    if _beyond(memory):
        _over(sink, results[:-1])
    _send(sink, {"results": results, "printed": printed.text})


def _over(sink: int, results: list[Result]) -> NoReturn:
    _send(sink, {"results": results, "over": True})
    _end(5)


if __name__ == "__main__":
    main()
