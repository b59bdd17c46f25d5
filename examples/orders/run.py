"""`make example`: the order service on five real upstreams, checked against the database.

Makes the shop when it is missing, starts the upstreams and `tailrace serve`, asks for orders spread
over the whole shop, compares every part with what SQLite says, then kills the coupons process and
shows that the reply is still there, smaller, and says so. Figures are of this run; nothing is
printed that was not observed. Exit codes: 0 every reply right, 1 a reply was wrong, 3 something
could not start, 130 or 143 interrupted.
"""

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .asking import Answer, ask
from .processes import Program, Service, StartError, all_upstreams, url_overrides
from .truth import Truth, differences
from .upstreams import generate, shop

TARGET: Final = "examples.orders.service:service"
# What stands in the place of a weak part, as service.py declares it.
SUBSTITUTES: Final[dict[str, Any]] = {"coupon": None, "recommend": {"items": []}}
WRONG_SHOWN: Final = 5


@dataclass
class Tally:
    """What was observed, reply by reply."""

    whole: int = 0
    degraded: Counter[str] = field(default_factory=Counter)
    late: int = 0
    wrong: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def add(self, what: str, answer: Answer, parts: dict[str, Any]) -> None:
        """Judges one reply. A part that is missing and says why is degraded, not wrong; a 504 is
        the deadline's honest answer on a machine that is busy, and is counted by itself."""
        self.milliseconds.append(answer.milliseconds)
        if answer.status == 504:
            self.late += 1
            return
        if answer.status != 200:
            self.wrong.append(f"{what}: status {answer.status}: {answer.body[:300]!r}")
            return
        missing = {name: SUBSTITUTES[name] for name in answer.degraded if name in SUBSTITUTES}
        found = differences(answer.json, parts, degraded=missing)
        self.wrong += [f"{what}: {difference}" for difference in found]
        if not found and not answer.degraded:
            self.whole += 1
        elif not found:
            self.degraded.update(f"{name} {reason}" for name, reason in answer.degraded.items())

    def summary(self) -> str:
        times = sorted(self.milliseconds)
        missing = ", ".join(f"{what} {count}" for what, count in sorted(self.degraded.items()))
        return (
            f"{len(times)} replies: {self.whole} whole, parts missing: {missing or 'none'}, "
            f"{self.late} past the deadline, {len(self.wrong)} differences from the database; "
            f"median {statistics.median(times):.1f} ms, slowest {times[-1]:.1f} ms"
        )


@dataclass(frozen=True)
class Running:
    """The whole example, up."""

    upstreams: dict[str, Program]
    service: Service
    truth: Truth


@contextmanager
def running(data: Path, logs: Path) -> Iterator[Running]:
    with all_upstreams(data, logs) as programs:
        urls = {name: program.ready()["url"] for name, program in programs.items()}
        for name, url in urls.items():
            print(f"  {name:<10}{url}")
        environment = url_overrides(urls)
        with Service(TARGET, log=logs / "service.log", environment=environment) as service:
            print(f"  {'service':<10}{service.url}   admin {service.admin}")
            yield Running(programs, service, Truth(data))


def show(title: str, answer: Answer) -> None:
    header = answer.headers.get("Tailrace-Degraded")
    print(f"\n{title}: {answer.status} in {answer.milliseconds:.1f} ms")
    if header:
        print(f"Tailrace-Degraded: {header}")
    print(json.dumps(answer.json, indent=2, ensure_ascii=False))


def check_orders(example: Running, count: int) -> Tally:
    """Asks for `count` orders of both views over one connection and shows a whole reply."""
    tally, shown = Tally(), False
    with closing(example.service.connect()) as connection:
        for order_id in example.truth.order_ids(count):
            answer = ask(connection, f"/api/orders/{order_id}")
            tally.add(order_id, answer, example.truth.order_view(order_id))
            if not shown and answer.status == 200 and not answer.degraded:
                show("A whole reply", answer)
                shown = True
            stock = ask(connection, f"/api/orders/{order_id}/stock")
            tally.add(f"{order_id} stock", stock, example.truth.stock_view(order_id))
    if not shown:
        tally.wrong.append("no reply was whole")
    return tally


def check_without_coupons(example: Running, count: int) -> Tally:
    """The same with the coupons process killed: still 200, `coupon` null and named."""
    example.upstreams["coupons"].kill()
    tally, shown = Tally(), False
    with closing(example.service.connect()) as connection:
        for order_id in example.truth.order_ids(count):
            answer = ask(connection, f"/api/orders/{order_id}")
            tally.add(order_id, answer, example.truth.order_view(order_id))
            if answer.status == 200 and "coupon" not in answer.degraded:
                tally.wrong.append(f"{order_id}: coupons is dead and the reply does not say so")
            if not shown and answer.status == 200:
                show("A degraded reply, the coupons process is dead", answer)
                shown = True
    if not shown:
        tally.wrong.append("no reply came through without coupons")
    return tally


def run(data: Path, logs: Path, count: int) -> int:
    started = time.perf_counter()
    with running(data, logs) as example:
        print(f"  ready in {time.perf_counter() - started:.1f} s")
        healthy = check_orders(example, count)
        hurt = check_without_coupons(example, count)
    print(f"\nall upstreams   {healthy.summary()}")
    print(f"without coupons {hurt.summary()}")
    wrong = healthy.wrong + hurt.wrong
    for line in wrong[:WRONG_SHOWN]:
        print(f"wrong: {line}", file=sys.stderr)
    if len(wrong) > WRONG_SHOWN:
        print(f"wrong: and {len(wrong) - WRONG_SHOWN} more", file=sys.stderr)
    return 1 if wrong else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="examples.orders.run", description=__doc__)
    parser.add_argument("--data", type=Path, default=generate.default_directory(), metavar="DIR")
    parser.add_argument("--orders", type=int, default=shop.Size().orders, help="size of the shop")
    parser.add_argument("--ask", type=int, default=50, help="orders to ask for, per stage")
    options = parser.parse_args(arguments)
    if options.orders < 1 or options.ask < 1:
        parser.error("--orders and --ask: at least 1")
    size = shop.Size(orders=options.orders)
    # Leaves through the `with` blocks, so that nothing is left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        started = time.perf_counter()
        made = generate.generate(options.data, size=size)
        spent = f"made in {time.perf_counter() - started:.1f} s" if made else "already there"
        print(f"shop of {size.orders} orders in {options.data}, {spent}")
        with tempfile.TemporaryDirectory(prefix="tailrace-example-") as logs:
            return run(options.data, Path(logs), options.ask)
    except (StartError, OSError) as error:
        print(f"example: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
