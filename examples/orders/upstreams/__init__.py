"""Five small upstream services, each a process of its own over its own read-only SQLite file.

They exist so that the example runs on real input and real HTTP servers, not on recorded answers:
ids resolve, unknown ids are 404, and every record carries fields the order service never declared,
which must not leak into its replies.
"""

from typing import Final

# In port order: `--port-base 9001` puts orders on 9001 and recommend on 9005.
NAMES: Final = ("orders", "users", "inventory", "coupons", "recommend")
