"""Rows, no behaviour."""
