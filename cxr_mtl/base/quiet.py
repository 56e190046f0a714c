"""Silence for libraries that read foreign files: their warnings may quote what is in them."""

import logging
import threading
import warnings
from types import TracebackType


class Quiet:
    """A context without warnings, and without a library's log, for several threads at once.

    The filters are the whole process's: `warnings.catch_warnings` alone, left by threads in another
    order than entered, would leave them changed. The first to enter sets them aside, the last to
    leave puts them back.
    """

    def __init__(self, logger: str) -> None:
        self._logger = logging.getLogger(logger)
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()
        self._disabled = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
                self._disabled, self._logger.disabled = self._logger.disabled, True
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._logger.disabled = self._disabled
                self._filters.__exit__(None, None, None)
