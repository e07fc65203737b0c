"""Signed HTTP to adapters."""
