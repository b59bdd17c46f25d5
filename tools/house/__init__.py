"""The house rules, one module per kind; `tools/tidy.py` runs them all."""
