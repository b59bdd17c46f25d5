"""The shop in memory: products, people, orders and what follows from them, from one seed.

Every table draws from a generator of its own, named after it, so that a change to one table leaves
the others as they were. Records agree with each other: an order's total is the sum of its lines,
its warehouse holds its skus, and a stock record's `reserved` is the sum of the open orders.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final, NamedTuple, TypeAlias

from . import catalogue

EPOCH: Final = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
OPEN_STATUSES: Final = frozenset({"placed", "paid", "packed"})
LINES_MAX: Final = 6
LINE_WEIGHTS: Final = (38, 27, 16, 10, 6, 3)

Row: TypeAlias = tuple[object, ...]


class Product(NamedTuple):
    sku: str
    name: str
    price_cents: int
    weight_grams: int


class Person(NamedTuple):
    id: str
    name: str
    email: str
    tier: str
    member_since: str
    place: catalogue.Place
    street: str


class Line(NamedTuple):
    product: Product
    quantity: int


class Order(NamedTuple):
    id: str
    person: Person
    status: str
    created_at: str
    warehouse: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much shop: the rest follows from the number of orders."""

    orders: int = 100_000

    @property
    def users(self) -> int:
        return max(10, self.orders // 5)

    @property
    def products(self) -> int:
        return min(2_000, max(100, self.orders // 10))


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def products(seed: int, size: Size) -> list[Product]:
    chance = random.Random(f"{seed}/products")
    names = [
        f"{material} {thing}" for material in catalogue.MATERIALS for thing in catalogue.PRODUCTS
    ]
    return [
        Product(
            sku=f"sku-{number:04d}",
            name=f"{names[number % len(names)]} no. {1 + number // len(names)}",
            price_cents=chance.randint(3, 240) * 50 - chance.choice((0, 1, 10)),
            weight_grams=chance.randint(20, 4_000),
        )
        for number in range(size.products)
    ]


def people(seed: int, size: Size) -> list[Person]:
    chance = random.Random(f"{seed}/people")
    made = []
    for number in range(size.users):
        first, last = chance.choice(catalogue.FIRST_NAMES), chance.choice(catalogue.LAST_NAMES)
        place = chance.choice(catalogue.PLACES)
        made.append(
            Person(
                id=f"u-{number:05d}",
                name=f"{first} {last}",
                email=f"customer-{number:05d}@example.org",
                tier=chance.choices(catalogue.TIERS, catalogue.TIER_WEIGHTS)[0],
                member_since=(EPOCH.date() - timedelta(days=chance.randint(30, 3_000))).isoformat(),
                place=place,
                street=f"{place.street} {chance.randint(1, 180)}",
            )
        )
    return made


def orders(seed: int, size: Size, buyers: list[Person], goods: list[Product]) -> Iterator[Order]:
    """Orders oldest first; a few buyers and goods are popular, as in any shop."""
    chance = random.Random(f"{seed}/orders")
    popularity = list(accumulate(1 / (10 + rank) for rank in range(len(goods))))
    statuses = list(accumulate(catalogue.STATUS_WEIGHTS))
    line_counts = list(accumulate(LINE_WEIGHTS))
    for number in range(size.orders):
        (count,) = chance.choices(range(1, LINES_MAX + 1), cum_weights=line_counts)
        picked = dict.fromkeys(chance.choices(goods, cum_weights=popularity, k=count))
        (status,) = chance.choices(catalogue.STATUSES, cum_weights=statuses)
        created = EPOCH - timedelta(minutes=3 * (size.orders - number), seconds=number % 60)
        yield Order(
            id=f"o-{number:06d}",
            person=buyers[int(len(buyers) * chance.random() ** 1.5)],
            status=status,
            created_at=stamp(created),
            warehouse=catalogue.WAREHOUSES[int(chance.random() * len(catalogue.WAREHOUSES))],
            lines=tuple(Line(product, 1 + int(3 * chance.random() ** 2)) for product in picked),
        )


def order_rows(seed: int, made: list[Order]) -> Iterator[Row]:
    chance = random.Random(f"{seed}/order_rows")
    for order in made:
        person, place = order.person, order.person.place
        total = sum(line.quantity * line.product.price_cents for line in order.lines)
        yield (
            order.id,
            person.id,
            order.status,
            catalogue.CURRENCY,
            total,
            order.created_at,
            *(person.name, person.street, place.city, place.postal_code, place.country),
            round(chance.random() ** 3, 4),
            json.dumps(chance.sample(catalogue.NOTES, int(3 * chance.random()))),
            *("ABCD"[int(4 * chance.random())], 1 + int(20 * chance.random())),
            f"{chance.getrandbits(64):016x}",
        )


def item_rows(made: list[Order]) -> Iterator[Row]:
    for order in made:
        for position, line in enumerate(order.lines):
            product = line.product
            yield (
                *(order.id, position, product.sku, product.name),
                *(line.quantity, product.price_cents, product.weight_grams),
            )


def reservation_rows(made: list[Order]) -> Iterator[Row]:
    for order in made:
        for position, line in enumerate(order.lines):
            yield order.id, position, order.warehouse, line.product.sku, line.quantity


def stock_rows(seed: int, goods: list[Product], made: list[Order]) -> Iterator[Row]:
    chance = random.Random(f"{seed}/stock")
    reserved: Counter[tuple[str, str]] = Counter()
    for order in made:
        if order.status in OPEN_STATUSES:
            for line in order.lines:
                reserved[line.product.sku, order.warehouse] += line.quantity
    counted_at = stamp(EPOCH.replace(hour=6, minute=0, second=0))
    for product in goods:
        for warehouse in catalogue.WAREHOUSES:
            aisle, rack = chance.randint(1, 20), chance.randint(1, 30)
            shelf = f"{chance.choice('ABCD')}-{aisle:02d}-{rack:02d}"
            available = chance.randint(0, 400)
            yield (
                *(product.sku, warehouse, available),
                *(reserved[product.sku, warehouse], shelf, counted_at),
            )


def user_rows(seed: int, made: list[Person]) -> Iterator[Row]:
    chance = random.Random(f"{seed}/user_rows")
    for person in made:
        place = person.place
        yield (
            *(person.id, person.name, person.email, person.tier, place.locale),
            person.member_since,
            *(person.street, place.city, place.postal_code, place.country),
            f"$argon2id$v=19$m=65536,t=3,p=4${chance.getrandbits(96):024x}",
            json.dumps(chance.sample(catalogue.SEGMENTS, chance.randint(0, 3))),
        )


def coupon_rows(seed: int, made: list[Person]) -> Iterator[Row]:
    """Two in five people hold a coupon; the rest are the 404 of the coupons service."""
    chance = random.Random(f"{seed}/coupons")
    for person in made:
        if chance.random() < 0.4:
            percent = chance.choice((5, 10, 15, 20))
            yield (
                person.id,
                f"{chance.choice(catalogue.COUPON_WORDS)}{percent}",
                percent,
                stamp(EPOCH + timedelta(days=chance.randint(10, 120))),
                *(chance.randint(2, 20) * 500, catalogue.CURRENCY),
                chance.randint(9_000, 9_999),
            )


def recommendation_rows(seed: int, made: list[Person], goods: list[Product]) -> Iterator[Row]:
    chance = random.Random(f"{seed}/recommendations")
    for person in made:
        for rank, product in enumerate(chance.sample(goods, 3)):
            score = round(0.95 - 0.15 * rank - 0.1 * chance.random(), 3)
            yield person.id, rank, product.sku, product.name, score, product.price_cents


def ranking_rows(seed: int, made: list[Person]) -> Iterator[Row]:
    chance = random.Random(f"{seed}/rankings")
    for person in made:
        yield person.id, "ranker-7b", chance.randint(400, 2_000), chance.randint(800, 3_000)
