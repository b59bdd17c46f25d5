"""The admin port of a running service, for verbs that read it.

The failure prevented: a verb that waits for ever, or that takes a stranger's answer for the
service's. Each read has a time and a largest size; whatever else happens ends the verb with one
line. Limits: reads, and profiles, which change nothing; no redirects, no proxy of the environment.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from tailrace.cli._exit import Exit, Stop

ADMIN: Final = "127.0.0.1:9900"
PATIENCE_SECONDS: Final = 5.0
ANSWER_MAX_BYTES: Final = 16 * 1024 * 1024
LINE_MAX_BYTES: Final = 1024 * 1024
WORDS_MAX_BYTES: Final = 4096
TOKEN_VARIABLE: Final = "TAILRACE_ADMIN_TOKEN"  # noqa: S105 - its name
TOLD: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.CONFLICT,
    HTTPStatus.NOT_IMPLEMENTED,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""Refusals whose words are the service's."""


class Admin:
    """The admin port at `address`: `HOST:PORT`, or its URL."""

    def __init__(self, address: str) -> None:
        text = address if "//" in address else f"http://{address}"
        parts = urlsplit(text)
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme != "http" or not parts.hostname or not port or parts.path.strip("/"):
            raise Stop(Exit.USAGE, f"error: --admin is like {ADMIN}, not {address!r}")
        self.address = f"{parts.hostname}:{port}"
        self._host, self._port = parts.hostname, port

    def read(self, path: str, **query: str | int) -> dict[str, Any]:
        """The JSON document at `path`."""
        target = f"{path}?{urlencode(query)}" if query else path
        status, body = self._get(target)
        if status == 400:
            raise Stop(Exit.USAGE, f"error: {body.decode(errors='replace').strip()}")
        try:
            answer = json.loads(body)
        except ValueError:
            raise self._stranger() from None
        if status != 200 or not isinstance(answer, dict) or "format_version" not in answer:
            raise self._stranger()
        return answer

    def ask(self, path: str, patience: float, **query: str | int) -> bytes:
        """What a POST to `path` gives within `patience` seconds; with the admin token of the
        environment, where there is one."""
        token = os.environ.get(TOKEN_VARIABLE)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        target = f"{path}?{urlencode(query)}" if query else path
        status, body = self._exchange("POST", target, headers, patience)
        if status != HTTPStatus.OK:
            raise self._refused(status, body[:WORDS_MAX_BYTES])
        return body

    def lines(self, path: str, **query: str | int) -> Iterator[dict[str, Any]]:
        """The JSON lines that come from `path`, until it ends; each is waited for a while."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", f"{path}?{urlencode(query)}")
            response = connection.getresponse()
            if response.status != HTTPStatus.OK:
                raise self._refused(response.status, response.read(WORDS_MAX_BYTES))
            while line := response.readline(LINE_MAX_BYTES):
                yield json.loads(line)
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(error) from None
        except ValueError:
            raise self._stranger() from None
        finally:
            connection.close()

    def _refused(self, status: int, body: bytes) -> Stop:
        words = body.decode(errors="replace").strip()
        if status == HTTPStatus.BAD_REQUEST:
            return Stop(Exit.USAGE, f"error: {words}")
        if status in TOLD:
            return Stop(Exit.ENVIRONMENT, f"error: {self.address}: {words}")
        return self._stranger()

    def _silent(self, error: Exception) -> Stop:
        reason = (getattr(error, "strerror", None) or str(error) or "no answer").lower()
        return Stop(
            Exit.ENVIRONMENT,
            f"error: no admin port at {self.address} ({reason})",
            "it is the one `tailrace serve` prints; name it with --admin",
        )

    def _get(self, target: str) -> tuple[int, bytes]:
        return self._exchange("GET", target, {}, PATIENCE_SECONDS)

    def _exchange(
        self, method: str, target: str, headers: dict[str, str], patience: float
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=patience)
        try:
            connection.request(method, target, headers=headers)
            response = connection.getresponse()
            body = response.read(ANSWER_MAX_BYTES + 1)
        except OSError as error:
            raise self._silent(error) from None
        except http.client.HTTPException:
            raise self._stranger() from None
        finally:
            connection.close()
        if len(body) > ANSWER_MAX_BYTES:
            raise Stop(Exit.ENVIRONMENT, f"error: the answer of {self.address} is too long")
        return response.status, body

    def _stranger(self) -> Stop:
        return Stop(
            Exit.ENVIRONMENT,
            f"error: what answers at {self.address} is not this version's admin port",
            "name another with --admin",
        )
