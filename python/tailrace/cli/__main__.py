"""``python -m tailrace.cli``: the same as ``tailrace``."""

from tailrace.cli import main

main()
