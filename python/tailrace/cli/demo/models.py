"""What the order service promises to its callers, and therefore all it takes from its upstreams.

A field that is not declared here never reaches a reply: upstreams answer with more (a password
hash, a risk score, debug output) and the plane drops it while it validates. Money is decimal text
on the wire; it passes through as the bytes that came.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field

Amount = Annotated[int, Field(ge=0)]
Currency = Annotated[str, Field(min_length=3, max_length=3)]
Country = Annotated[str, Field(min_length=2, max_length=2)]


class Item(BaseModel):
    sku: str
    name: str
    quantity: Annotated[int, Field(ge=1)]
    price: Decimal


class Shipping(BaseModel):
    name: str
    street: str
    city: str
    postal_code: str
    country: Country


class Order(BaseModel):
    id: str
    user_id: str
    status: Literal["placed", "paid", "packed", "shipped", "delivered", "cancelled"]
    currency: Currency
    total: Decimal
    created_at: datetime
    items: list[Item]
    shipping: Shipping


class Address(BaseModel):
    street: str
    city: str
    postal_code: str
    country: Country


class User(BaseModel):
    id: str
    name: str
    email: str
    tier: Literal["standard", "silver", "gold"]
    locale: str
    member_since: date
    address: Address


class InventoryLine(BaseModel):
    sku: str
    available: Amount
    reserved: Amount


class Inventory(BaseModel):
    order_id: str
    warehouse: str
    lines: list[InventoryLine]


class Stock(BaseModel):
    sku: str
    available: Amount
    reserved: Amount
    warehouse: str


class CouponConditions(BaseModel):
    minimum_total: Decimal
    currency: Currency


class Coupon(BaseModel):
    code: str
    percent: Annotated[int, Field(ge=0, le=100)]
    expires_at: datetime
    conditions: CouponConditions


class RecommendedItem(BaseModel):
    sku: str
    name: str
    score: Annotated[float, Field(ge=0, le=1)]
    price: Decimal


class Recommend(BaseModel):
    items: list[RecommendedItem]
