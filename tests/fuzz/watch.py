"""What a door does beside its answer: files written, programs started, objects unpickled."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.chmod": 1,
    "os.chown": 1,
    "os.link": 2,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.utime": 1,
}
"""Audit events that change the file system, and how many of their arguments are paths."""

_DEEDS = (
    "ftplib.connect",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pickle.find_class",
    "socket.connect",
    "socket.getaddrinfo",
    "subprocess.Popen",
    "urllib.Request",
    "webbrowser.open",
)
"""Audit events that no reading of a file needs."""

SECRET = "secret"
"""Name of a file beside a door's own folder, which nothing that a folder says may open."""


BESIDE = "open beside"
"""What a door may do whose files name others anywhere on the user's disk."""


class Watch:
    """Listens to the audit events of this process; once begun it cannot be taken away."""

    def __init__(self) -> None:
        self._allowed: tuple[str, ...] | None = None
        self._may: frozenset[str] = frozenset()
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    @contextmanager
    def over(self, allowed: tuple[Path, ...], may: frozenset[str]) -> Iterator[None]:
        """Note in `seen` what is done within the block, but for changes below `allowed`."""
        self.seen = []
        self._allowed, self._may = tuple(map(os.path.realpath, allowed)), may
        try:
            yield
        finally:
            self._allowed = None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._allowed is None or event in self._may:
            return
        if event == "open":
            self._opened(*arguments)
        elif event in ("os.remove", "os.rmdir") and arguments[1] != -1:  # relative to a folder
            self._changed(event, os.path.join(f"/proc/self/fd/{arguments[1]}", arguments[0]))
        elif event in _CHANGES:
            for path in arguments[: _CHANGES[event]]:
                self._changed(event, path)
        elif event in _DEEDS:
            self._note(f"{event} {str(arguments)[:200]}")

    def _opened(self, path: Any, mode: str | None, flags: int) -> None:
        if isinstance(path, int):
            return
        if flags & _WRITES:
            self._changed("open for writing", path)
        elif os.path.basename(os.fsdecode(path)) == SECRET and BESIDE not in self._may:
            self._note(f"opened {os.fsdecode(path)}")

    def _changed(self, event: str, path: Any) -> None:
        if isinstance(path, int) or path == os.devnull:
            return
        place = os.fsdecode(path)
        # The last part may be a link that is itself made or removed.
        real = os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(place))
        if not any(real == folder or real.startswith(folder + os.sep) for folder in self._allowed):
            self._note(f"{event} {place}")

    def _note(self, deed: str) -> None:
        self.seen.append(deed)
