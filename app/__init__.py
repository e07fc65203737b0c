"""Refund adjudication for marketplaces of virtual goods."""
