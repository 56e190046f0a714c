"""Enters doors in a process of their own, where a hang, a crash or a flood of memory is survived.

What an input may lead to is a result or one `InputError` of one sentence; all else is a fault.
"""

import faulthandler
import importlib
import multiprocessing
import os
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
from door import Door
from sentence import flaws_of, told
from watch import SECRET, Watch

from cxr_mtl.base.errors import InputError

TAKEN, REFUSED, FAULT = "taken", "refused", "fault"
SECONDS = 10  # of computing, or three times as many of waiting, that an input may take
FIRST_SECONDS = 120  # for the first input of a door, which imports libraries
MEMORY = 2**30  # bytes that the process may grow by
_ROOM = 4 * 2**30  # address space beyond which an allocation fails, so that the machine survives


@dataclass(frozen=True)
class Verdict:
    """What became of an input: `kind` is one of taken, refused and fault.

    `detail` is the sentence of a refusal or the report of a fault; `mark` is the same for faults
    of one cause, as far as can be told.
    """

    kind: str
    detail: str = ""
    mark: str = ""


class Guard:
    """A process that enters doors one input at a time; a dead or hanging one is replaced.

    Args:
        keep: a folder for the files of the last input that led to a fault of each mark.
    """

    def __init__(self, keep: Path | None = None) -> None:
        self._keep = keep
        # A disk takes longer to remove a folder than a door to read it.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self._folder = Path(tempfile.mkdtemp(prefix="cxr-mtl-fuzz-", dir=memory))
        self._log = self._folder / "said.txt"
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._warm: set[str] = set()

    def __enter__(self) -> "Guard":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        shutil.rmtree(self._folder)

    def enter(self, door: Door, value: Any, family: str) -> Verdict:
        """Try one input of a door, which stands in the list `DOORS` of the module `family`."""
        if self._process is None:
            self._start()
        if door.name not in self._warm:
            verdict = self._ask(family, door.name, door.sound, FIRST_SECONDS)
            if verdict.kind != TAKEN:
                raise AssertionError(f"{door} refuses its sound input: {verdict.detail}")
            self._warm.add(door.name)
        verdict = self._ask(family, door.name, value, SECONDS)
        if verdict.kind == FAULT and self._keep is not None:
            name = re.sub(r"[^A-Za-z0-9]+", "-", f"{door} {verdict.mark}")[:100]
            shutil.rmtree(self._keep / name, ignore_errors=True)
            shutil.copytree(self._folder / "case", self._keep / name, symlinks=True)
        if verdict.kind == FAULT and verdict.mark.startswith("memory"):
            self._end()  # the peak of a process does not sink again
        return verdict

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, str(self._folder), str(self._log))
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self._warm = set()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None

    def _ask(self, family: str, name: str, value: Any, seconds: float) -> Verdict:
        self._connection.send((family, name, value, seconds))
        worker = psutil.Process(self._process.pid)
        started, computed = time.monotonic(), _computed(worker)
        while not self._connection.poll(0.5):
            waited = time.monotonic() - started
            if waited > 3 * seconds or _computed(worker) - computed > seconds:
                self._end()
                return self._dead("hangs", f"no answer after {waited:.0f} s")
        try:
            return self._connection.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            self._end()
            return self._dead("crash", f"the interpreter ended with {code}")

    def _dead(self, kind: str, detail: str) -> Verdict:
        said = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        places = [line.strip() for line in said if line.lstrip().startswith("File ")]
        return Verdict(FAULT, "\n".join([detail, *places[:12]]), f"{kind} {places[:1]}")


def _computed(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def _serve(connection: Connection, folder: str, log: str) -> None:
    sys.dont_write_bytecode = True  # a module imported late is no file that a door writes
    os.environ["TMPDIR"] = str(Path(folder) / "case/tmp")
    os.environ["OMP_NUM_THREADS"] = "1"  # the data are tiny: threads would only wait
    os.chdir(folder)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    faulthandler.enable(file=said)
    watch = Watch()
    grown_from: dict[str, int] = {}
    while True:
        try:
            family, name, value, seconds = connection.recv()
        except EOFError:
            return
        door = next(d for d in importlib.import_module(family).DOORS if d.name == name)
        os.truncate(said, 0)
        faulthandler.dump_traceback_later(max(seconds - 0.5, 0.5), file=said)
        first = name not in grown_from
        verdict = _judge(door, value, Path(folder) / "case", watch, first)
        faulthandler.cancel_dump_traceback_later()
        if first:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            grown_from[name] = psutil.Process().memory_info().rss
            room = psutil.Process().memory_info().vms + _ROOM
            resource.setrlimit(resource.RLIMIT_AS, (room, resource.RLIM_INFINITY))
        elif (grown := _peak_bytes() - grown_from[name]) > MEMORY:
            verdict = Verdict(FAULT, f"takes {grown / 2**30:.1f} GiB of memory", "memory")
        connection.send(verdict)


def _judge(door: Door, value: Any, case: Path, watch: Watch, first: bool) -> Verdict:
    shutil.rmtree(case, ignore_errors=True)
    inside, out, temporary = case / "in", case / "out", case / "tmp"
    for folder in (inside, out, temporary):
        folder.mkdir(parents=True)
    (case / SECRET).write_text("what the folder beside this file has no business with\n")
    try:
        argument = door.lay(inside, value)
    except Exception as error:
        return _fault(error, "the test itself: ")
    before = _tree(case)
    try:
        with watch.over((out, temporary), door.may):
            result = door.enter(argument)
        door.check(argument, value, result)
        verdict = Verdict(TAKEN)
    except InputError as error:
        verdict = _refusal(error, case)
    except BaseException as error:
        verdict = _fault(error)
    after = _tree(case)
    if verdict.kind == FAULT:
        return verdict
    deeds = [] if first else watch.seen  # the first input imports libraries, which may do all
    deeds = [deed.replace(str(case), "") for deed in deeds] or _changes(before, after, verdict.kind)
    return Verdict(FAULT, "; ".join(deeds), f"deed {deeds[0].split()[:2]}") if deeds else verdict


def _refusal(error: InputError, case: Path) -> Verdict:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return Verdict(FAULT, f"out of memory, told as: {error}", "memory told as a fault")
        cause = cause.__cause__ or cause.__context__
    sentence = told(error).replace(str(case), "")
    flaws = flaws_of(sentence)
    if flaws:
        place = traceback.extract_tb(error.__traceback__)[-1]
        mark = f"sentence {flaws[0].split()[0]} {Path(place.filename).name}:{place.lineno}"
        return Verdict(FAULT, f"the sentence {' and '.join(flaws)}: {sentence!r}", mark)
    return Verdict(REFUSED, sentence)


def _fault(error: BaseException, where: str = "") -> Verdict:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/cxr_mtl/" in frame.filename] or list(frames)
    place = f"{where}{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    detail = "".join(traceback.format_exception(error, limit=-6))
    return Verdict(FAULT, detail, f"{type(error).__name__} {place}")


def _changes(before: dict[str, Any], after: dict[str, Any], kind: str) -> list[str]:
    """What is no longer as it was: of a refused input everything, of a taken one only leavings."""
    found = []
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) == after.get(path):
            continue
        written = path.startswith("out/")
        if ".partial" in path or not written or kind == REFUSED:
            found.append(f"left or changed {path}")
    return found


def _tree(case: Path) -> dict[str, Any]:
    """Every path below a folder, with what tells a file that was changed."""
    found: dict[str, Any] = {}
    stack, start = [str(case)], len(str(case)) + 1
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                stack += [entry.path] if is_folder else []
                stat = entry.stat(follow_symlinks=False)
                sizes = None if is_folder else (stat.st_size, stat.st_mtime_ns, stat.st_mode)
                found[entry.path[start:]] = sizes
    return found


def _peak_bytes() -> int:
    """The most memory that this process ever held; unlike `getrusage`, none of its parent's."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
