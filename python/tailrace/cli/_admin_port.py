"""The admin port of a running service, for verbs that look at it.

The failure prevented: a traceback, or a wait without end, where nobody listens. Reading needs no
token. Whatever goes wrong ends the verb with one line, or is told to a caller that goes on.
"""

from __future__ import annotations

import http.client
import json
from typing import Any, Final

from tailrace.cli._exit import Exit, Stop

ADMIN: Final = "127.0.0.1:9900"
PATIENCE_SECONDS: Final = 5.0
_WORDS_MAX: Final = 300


class AdminPort:
    """The admin port of a running service."""

    def __init__(self, address: str) -> None:
        bare = address.removeprefix("http://").rstrip("/")
        host, _, port = bare.rpartition(":")
        if not host or not port.isdecimal():
            raise Stop(Exit.USAGE, f"error: --admin is like {ADMIN}, not {address!r}")
        self.address = bare
        self._host, self._port = host.strip("[]"), int(port)

    def get(self, path: str) -> dict[str, Any]:
        """JSON of a path. Raises `Stop`."""
        connection, response = self.open(path)
        try:
            body = response.read()
            answer = json.loads(body)
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(error) from None
        except ValueError:
            raise self._stranger() from None
        finally:
            connection.close()
        if not isinstance(answer, dict) or "format_version" not in answer:
            raise self._stranger()
        return answer

    def open(self, path: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """A response whose head has come; the caller reads it and closes the connection."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            if response.status == 200:
                return connection, response
            words = response.read(_WORDS_MAX).decode(errors="replace").strip()
        except OSError as error:
            connection.close()
            raise self._silent(error) from None
        except http.client.HTTPException:
            connection.close()
            raise self._stranger() from None
        connection.close()
        if response.status == 404:
            raise self._stranger()
        if response.status == 400:
            raise Stop(Exit.USAGE, f"error: {words}")
        raise Stop(Exit.ENVIRONMENT, f"error: {self.address} answered {response.status}: {words}")

    def _silent(self, error: Exception) -> Stop:
        reason = (getattr(error, "strerror", None) or str(error) or "no answer").lower()
        return Stop(
            Exit.ENVIRONMENT,
            f"error: no service's admin port at {self.address} ({reason})",
            "start one with `tailrace serve`, or name its port with --admin",
        )

    def _stranger(self) -> Stop:
        return Stop(
            Exit.ENVIRONMENT,
            f"error: what answers at {self.address} is not the admin port of this tailrace",
            "name the admin port with --admin; the service's own port is another",
        )
