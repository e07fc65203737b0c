"""Rows, no behaviour. Importing this package completes `Base.metadata`."""

from app.models import cases, records, requests, sites, webhooks
from app.models.base import Base

__all__ = ["Base", "cases", "records", "requests", "sites", "webhooks"]
