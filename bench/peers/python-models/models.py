"""The declared models of the order view, the same for every Python peer.

pydantic's default drops undeclared fields, and so does tailrace: that is the projection. One module
for all, so that no peer validates less than another.
"""

from __future__ import annotations

from pydantic import BaseModel


class Item(BaseModel):
    sku: str
    name: str
    quantity: int
    price: str


class Address(BaseModel):
    street: str
    city: str
    postal_code: str
    country: str


class Shipping(Address):
    name: str


class Order(BaseModel):
    id: str
    user_id: str
    status: str
    currency: str
    total: str
    created_at: str
    items: list[Item]
    shipping: Shipping


class User(BaseModel):
    id: str
    name: str
    email: str
    tier: str
    locale: str
    member_since: str
    address: Address


class StockLine(BaseModel):
    sku: str
    available: int
    reserved: int


class Inventory(BaseModel):
    order_id: str
    warehouse: str
    lines: list[StockLine]


class Conditions(BaseModel):
    minimum_total: str
    currency: str


class Coupon(BaseModel):
    code: str
    percent: int
    expires_at: str
    conditions: Conditions


class Suggestion(BaseModel):
    sku: str
    name: str
    score: float
    price: str


class Recommend(BaseModel):
    items: list[Suggestion]
