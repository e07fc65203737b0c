"""What all bodies share."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from app.api.text import refuse


class BodyIn(BaseModel):
    """A body that callers send: an unknown field is refused, so that a typo is not a silent wrong answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class OptionalBodyIn(BodyIn):
    """A body whose fields may all be left out.

    FastAPI validates by attributes too, and by those any value at all is such a body.
    """

    @model_validator(mode="before")
    @classmethod
    def _is_an_object(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise refuse("not_an_object", en="Must be an object.", zh="须为对象。")
        return value


class BodyOut(BaseModel):
    """A body that the service sends. No field has a default: what is documented as present is present."""

    model_config = ConfigDict(extra="forbid", frozen=True)
