"""Bodies of the health checks."""

from typing import Literal

from pydantic import Field

from app.api.schemas.base import BodyOut


class HealthOut(BodyOut):
    """All is well."""

    status: Literal["ok"] = Field(description="状态 · 正常.")
