"""The admin port of a running lab: read its state, change an upstream.

The failure prevented: a fault that was not applied but is reported as applied. What is returned is
the state the lab answered with; whatever else happens ends the verb with one line.
"""

from __future__ import annotations

import http.client
import json
from typing import Any, Final

from tailrace.cli._exit import Exit, Stop

ADMIN: Final = "127.0.0.1:9109"
PATIENCE_SECONDS: Final = 5.0


class LabAdmin:
    """The admin port of a running lab."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise Stop(Exit.USAGE, f"error: --admin is like {ADMIN}, not {address!r}")
        self.address = address
        self._host, self._port = host, int(port)

    def state(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._ask("GET", "/state").get("upstreams", [])
        return rows

    def change(self, name: str, change: dict[str, Any]) -> dict[str, Any]:
        return self._ask("POST", f"/upstreams/{name}", change)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE_SECONDS)
        try:
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, path, sent)
            response = connection.getresponse()
            status, answer = response.status, json.loads(response.read())
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Stop(
                Exit.ENVIRONMENT,
                f"error: no lab at {self.address} ({reason}); run: tailrace demo --hold",
            ) from None
        except (http.client.HTTPException, ValueError):
            raise self._stranger() from None
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise self._stranger()
        if status >= 400:
            if "detail" not in answer:
                raise self._stranger()
            raise Stop(Exit.USAGE, f"error: the lab refused it: {answer['detail']}")
        return answer

    def _stranger(self) -> Stop:
        return Stop(
            Exit.ENVIRONMENT,
            f"error: what answers at {self.address} is not a lab; name its port with --admin",
        )
