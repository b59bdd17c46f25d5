"""Python's logging, through the plane's log.

The failure prevented: a handler that waits for a disk to log a line, and tracebacks that lie in
pieces between the lines of requests. Records go to the bounded ring of the plane's log writer, with
the id of the request whose handler logged them; a full ring drops the record, which
`tailrace_log_dropped_total` counts (req 5.2). A service that configures logging by itself keeps
what it has configured, and without an access log Python's own way stays.
"""

from __future__ import annotations

import logging
from typing import Any, Final, Protocol

from tailrace.bound import CALLER

_LEVELS: Final = (
    (logging.CRITICAL, "CRITICAL"),
    (logging.ERROR, "ERROR"),
    (logging.WARNING, "WARNING"),
    (logging.INFO, "INFO"),
)


class Log(Protocol):
    """The plane's end; `beside` is request id and traceback."""

    def say(
        self,
        epoch_ms: int,
        level: str,
        logger: str,
        message: str,
        beside: tuple[str, str],
    ) -> bool: ...


class PlaneHandler(logging.Handler):
    """Hands records to the plane; what it does not take goes to stderr, as without this."""

    def __init__(self, plane: Log) -> None:
        super().__init__()
        self._plane = plane
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            taken = self._say(record)
        except RecursionError:
            raise
        except Exception:  # An argument that cannot be shown; the library says which.
            self.handleError(record)
            return
        if not taken and logging.lastResort is not None:
            logging.lastResort.handle(record)

    def _say(self, record: logging.LogRecord) -> bool:
        exception = ""
        if record.exc_info:
            exception = self._formatter.formatException(record.exc_info)
        elif record.exc_text:
            exception = record.exc_text
        if record.stack_info:
            exception = f"{exception}\n{record.stack_info}".strip()
        caller: Any = CALLER.get()
        return self._plane.say(
            int(record.created * 1000),
            _level(record.levelno),
            _plain(record.name),
            _plain(record.getMessage()),
            (getattr(caller, "request_id", ""), _plain(exception)),
        )


def _level(number: int) -> str:
    return next((name for least, name in _LEVELS if number >= least), "DEBUG")


def _plain(text: str) -> str:
    """The text without halves of characters, which have no bytes."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def install(plane: Log, log_format: str) -> PlaneHandler | None:
    """Sends what the root logger gets to the plane, unless somebody else has it already."""
    root = logging.getLogger()
    if log_format == "off" or root.handlers:
        return None
    handler = PlaneHandler(plane)
    root.addHandler(handler)
    return handler


def remove(handler: PlaneHandler | None) -> None:
    """The end of `install`."""
    if handler is not None:
        logging.getLogger().removeHandler(handler)
