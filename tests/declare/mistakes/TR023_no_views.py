"""A service that answers nothing."""

from tailrace import Service

service = Service("shop", deadline="150ms")
