"""Rows, no behaviour. Importing this package completes `Base.metadata`."""

from app.models import cases, files, records, requests, signals, sites, timers, webhooks
from app.models.base import Base

__all__ = ["Base", "cases", "files", "records", "requests", "signals", "sites", "timers", "webhooks"]
