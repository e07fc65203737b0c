"""Errors as RFC 9457 problem details."""

from pydantic import Field

from app.api.schemas.base import BodyOut


class ProblemItemOut(BodyOut):
    """One thing that is wrong: in the body (`pointer`), a parameter, or a header."""

    pointer: str | None = Field(default=None, description="RFC 6901 指针 · Into the body.")
    parameter: str | None = Field(default=None, description="参数名.")
    header: str | None = Field(default=None, description="请求头.")
    code: str = Field(description="错误代码 · Stable.")
    message: str = Field(description="说明 · In the language of Accept-Language; never repeats what was sent.")


class ProblemOut(BodyOut):
    """错误（RFC 9457）: `application/problem+json`, in Chinese unless `Accept-Language` prefers English."""

    type: str = Field(description="错误类型 · A reference to its description.", examples=["/docs/problems#invalid"])
    title: str = Field(description="标题.")
    status: int = Field(description="HTTP 状态码.")
    detail: str = Field(description="说明 · What to do about it.")
    code: str = Field(description="错误代码 · Stable; the thing to program against.")
    errors: list[ProblemItemOut] | None = Field(default=None, description="逐项说明 · One for each bad field.")
