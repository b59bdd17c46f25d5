"""What the order page is made of; the same in every step."""

from pydantic import BaseModel


class Order(BaseModel):
    id: str
    user_id: str
    total: str


class User(BaseModel):
    id: str
    name: str


class Coupon(BaseModel):
    code: str
    percent: int


class Page(BaseModel):
    order: Order
    user: User
    coupon: Coupon | None
