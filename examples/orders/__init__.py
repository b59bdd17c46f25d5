"""The order service: one view over five real upstream services (req 10)."""
