"""Rows, no behaviour. Importing this package completes `Base.metadata`."""

from app.models import cases, channels, deposits, files, records, refunds, requests, signals, sites, timers, webhooks
from app.models.base import Base

__all__ = [
    "Base",
    "cases",
    "channels",
    "deposits",
    "files",
    "records",
    "refunds",
    "requests",
    "signals",
    "sites",
    "timers",
    "webhooks",
]
