"""Writes the shop: one SQLite file per upstream service, the same bytes of data for the same seed.

Prevents a half-written shop from being served: tables are filled in a scratch folder beside the
target, and the manifest, which readers look for, arrives with the rename of the whole folder. The
files are never written again, so services open them as immutable and without locks.
"""

import argparse
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

from . import NAMES, shop

# Raised when tables or draws change, so that a shop left by an older checkout is made anew.
FORMAT: Final = 1
MANIFEST: Final = "shop.json"

SCHEMAS: Final = {
    "orders": """
        CREATE TABLE orders (
            id TEXT PRIMARY KEY, user_id TEXT, status TEXT, currency TEXT, total_cents INTEGER,
            created_at TEXT, shipping_name TEXT, street TEXT, city TEXT, postal_code TEXT,
            country TEXT, risk_score REAL, internal_notes TEXT, route_zone TEXT,
            route_aisle INTEGER, route_trace TEXT
        ) WITHOUT ROWID;
        CREATE TABLE items (
            order_id TEXT, position INTEGER, sku TEXT, name TEXT, quantity INTEGER,
            price_cents INTEGER, weight_grams INTEGER, PRIMARY KEY (order_id, position)
        ) WITHOUT ROWID;
    """,
    "users": """
        CREATE TABLE users (
            id TEXT PRIMARY KEY, name TEXT, email TEXT, tier TEXT, locale TEXT, member_since TEXT,
            street TEXT, city TEXT, postal_code TEXT, country TEXT, password_hash TEXT,
            marketing_segments TEXT
        ) WITHOUT ROWID;
    """,
    "inventory": """
        CREATE TABLE stock (
            sku TEXT, warehouse TEXT, available INTEGER, reserved INTEGER, bin TEXT,
            counted_at TEXT, PRIMARY KEY (sku, warehouse)
        ) WITHOUT ROWID;
        CREATE TABLE reservations (
            order_id TEXT, position INTEGER, warehouse TEXT, sku TEXT, quantity INTEGER,
            PRIMARY KEY (order_id, position)
        ) WITHOUT ROWID;
    """,
    "coupons": """
        CREATE TABLE coupons (
            user_id TEXT PRIMARY KEY, code TEXT, percent INTEGER, expires_at TEXT,
            minimum_total_cents INTEGER, currency TEXT, campaign_id INTEGER
        ) WITHOUT ROWID;
    """,
    "recommend": """
        CREATE TABLE recommendations (
            user_id TEXT, position INTEGER, sku TEXT, name TEXT, score REAL, price_cents INTEGER,
            PRIMARY KEY (user_id, position)
        ) WITHOUT ROWID;
        CREATE TABLE rankings (
            user_id TEXT PRIMARY KEY, model TEXT, candidates INTEGER, latency_us INTEGER
        ) WITHOUT ROWID;
    """,
}


def default_directory() -> Path:
    """The user's cache; the temporary folder where there is no home to hold one."""
    cache = os.environ.get("XDG_CACHE_HOME")
    if cache:
        return Path(cache) / "tailrace" / "orders-shop"
    try:
        return Path.home() / ".cache" / "tailrace" / "orders-shop"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / "tailrace-orders-shop"


def database_path(directory: Path, name: str) -> Path:
    return directory / f"{name}.db"


def manifest(seed: int, size: shop.Size) -> dict[str, int]:
    return {
        "format": FORMAT,
        "seed": seed,
        "orders": size.orders,
        "users": size.users,
        "products": size.products,
    }


def tables(seed: int, size: shop.Size) -> dict[str, dict[str, Iterable[shop.Row]]]:
    """Rows by service and table."""
    goods = shop.products(seed, size)
    buyers = shop.people(seed, size)
    placed = list(shop.orders(seed, size, buyers, goods))
    return {
        "orders": {
            "orders": shop.order_rows(seed, placed),
            "items": shop.item_rows(placed),
        },
        "users": {"users": shop.user_rows(seed, buyers)},
        "inventory": {
            "stock": shop.stock_rows(seed, goods, placed),
            "reservations": shop.reservation_rows(placed),
        },
        "coupons": {"coupons": shop.coupon_rows(seed, buyers)},
        "recommend": {
            "recommendations": shop.recommendation_rows(seed, buyers, goods),
            "rankings": shop.ranking_rows(seed, buyers),
        },
    }


def write_database(path: Path, schema: str, rows_of: dict[str, Iterable[shop.Row]]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        # No journal: a write that is cut short loses the scratch folder, never a finished shop.
        database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {schema}")
        database.execute("BEGIN")
        for table, rows in rows_of.items():
            columns = len(database.execute(f"PRAGMA table_info({table})").fetchall())
            marks = ", ".join("?" * columns)
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        database.execute("COMMIT")
        database.execute("ANALYZE")


def ready(directory: Path, *, seed: int, size: shop.Size) -> bool:
    """Whether `directory` already holds exactly this shop."""
    try:
        found = json.loads((directory / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return bool(found == manifest(seed, size))


def remove_shop(directory: Path) -> None:
    """Removes an older shop by the names of its files, so that nothing else can be lost."""
    if directory.exists():
        for path in (directory / MANIFEST, *(database_path(directory, name) for name in NAMES)):
            path.unlink(missing_ok=True)
        directory.rmdir()


def generate(directory: Path, *, seed: int = 42, size: shop.Size | None = None) -> bool:
    """Makes the shop unless it is there; says whether it had to."""
    size = size or shop.Size()
    if ready(directory, seed=seed, size=size):
        return False
    own = {MANIFEST, *(database_path(directory, name).name for name in NAMES)}
    if directory.exists() and {path.name for path in directory.iterdir()} - own:
        raise FileExistsError(f"{directory} holds other files; name an empty folder")
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        for name, rows_of in tables(seed, size).items():
            write_database(database_path(scratch, name), SCHEMAS[name], rows_of)
        (scratch / MANIFEST).write_text(json.dumps(manifest(seed, size)) + "\n")
        remove_shop(directory)
        scratch.rename(directory)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return True


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="examples.orders.upstreams.generate", description=__doc__)
    parser.add_argument("--data", type=Path, default=default_directory(), metavar="DIR")
    parser.add_argument("--orders", type=int, default=shop.Size().orders, metavar="N")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args(arguments)
    if options.orders < 1:
        parser.error("--orders: at least 1")
    size = shop.Size(orders=options.orders)
    started = time.perf_counter()
    try:
        made = generate(options.data, seed=options.seed, size=size)
    except OSError as error:
        print(f"generate: {error}", file=sys.stderr)
        return 3
    seconds = round(time.perf_counter() - started, 2)
    facts = {"data": str(options.data), "generated": made, "seconds": seconds}
    print(json.dumps(facts | manifest(options.seed, size)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
