"""Whether a file has changed since it was read.

The failure prevented: a change that is missed because the editor replaced the file, or because
Kubernetes swapped the link that leads to it; and a change that is read while it is being written.
The path is asked anew each time, links followed, and a difference counts once two looks in a row
agree about it.

Limits: a writer that pauses for longer than the time between two looks is read in between. Then the
rest of what it writes is the next change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeAlias

LOOK_SECONDS: Final = 0.5
"""Between two looks."""

Signature: TypeAlias = tuple[int, int, int, int] | None


class FileWatch:
    """One path, looked at every `LOOK_SECONDS` by whoever owns this."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._taken = self._seen = self._look()

    def _look(self) -> Signature:
        try:
            found = Path(self.path).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev

    def changed(self) -> bool:
        """Whether the file differs from what was taken and has come to rest; takes it then."""
        now = self._look()
        rests, self._seen = now == self._seen, now
        if not rests or now == self._taken:
            return False
        self._taken = now
        return True

    def take(self) -> None:
        """The file is about to be read."""
        self._taken = self._seen = self._look()
