"""Runnable examples of tailrace; `make example` runs the order service on real upstreams."""
