"""An app of FastAPI and httpx that is migrated step by step (docs/guides/migrate-from-httpx.md).

Prevents a guide whose steps were never run: each step is a whole app, and `test_migration.py` asks
all of them the same questions.
"""
