"""Doors that do what no door may, to show that the guard finds it."""

import os
import pickle
import signal
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
from door import Door
from hypothesis import strategies as st

from cxr_mtl.base.errors import InputError


def _lay(folder: Path, value: str) -> tuple[Path, str]:
    (folder / "table.csv").write_text("image,text\n")
    return folder, value


def _refuse(folder: Path, sentence: str) -> None:
    raise InputError(sentence)


def _refuse_for_memory(folder: Path) -> None:
    try:
        raise MemoryError
    except MemoryError as error:
        raise InputError("the file cannot be read: replace it") from error


def _refuse_but_leave(folder: Path) -> None:
    (folder.parent / "out/half.txt").write_text("half")
    raise InputError("the file is bad: replace it")


DEEDS = {
    "sound": lambda folder: None,
    "refuses": lambda folder: _refuse(folder, f"{folder}/table.csv has no rows: add one"),
    "writes where it may": lambda folder: (folder.parent / "out/whole.txt").write_text("whole"),
    "fails": lambda folder: {}["missing"],
    "exits": lambda folder: os._exit(3),
    "crashes": lambda folder: os.kill(os.getpid(), signal.SIGSEGV),
    "hangs": lambda folder: time.sleep(3600),
    "computes for ever": lambda folder: all(True for _ in iter(int, 1)),
    "takes memory": lambda folder: np.ones(170_000_000),
    "runs out of memory": lambda folder: np.ones(10**11),
    "tells memory as a fault": _refuse_for_memory,
    "refuses oddly": lambda folder: _refuse(folder, f"the \x1b[31m\nfile {'a' * 9999}: replace it"),
    "says no remedy": lambda folder: _refuse(folder, "the file is bad"),
    "writes elsewhere": lambda folder: Path("elsewhere").touch(),
    "changes its input": lambda folder: (folder / "table.csv").write_text("other"),
    "removes its input": lambda folder: (folder / "table.csv").unlink(),
    "leaves a half": lambda folder: (folder.parent / "out/.a.1.partial").touch(),
    "leaves much though it refuses": _refuse_but_leave,
    "reads beside its folder": lambda folder: (folder / "../secret").read_text(),
    "starts a program": lambda folder: os.system("true"),
    "asks the network": lambda folder: socket.create_connection(("127.0.0.1", 9), 0.1),
    "unpickles": lambda folder: pickle.loads(pickle.dumps(Path)),
    "answers wrongly": lambda folder: "wrong",
}


def _enter(argument: tuple[Path, str]) -> Any:
    return DEEDS[argument[1]](argument[0])


def _check(argument: tuple[Path, str], value: str, result: Any) -> None:
    assert result != "wrong"


FAULTY = Door("faulty", st.sampled_from(sorted(DEEDS)), _lay, _enter, "sound", 10, _check)
WALLED = Door("walled", st.just("refuses"), _lay, _enter, "refuses", 10)
DOORS = [FAULTY, WALLED]
