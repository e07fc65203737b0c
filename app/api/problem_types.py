"""Refusals that only HTTP knows, and what every problem type means to a caller, in both languages."""

from typing import Final

from app import errors
from app.api.languages import Language
from app.errors import Refusal


class MethodNotAllowed(Refusal):
    """The path exists, but not for this method."""

    def __init__(self) -> None:
        super().__init__(
            "method_not_allowed",
            en="This path does not take this method; see the 'Allow' header.",
            zh="此路径不支持该方法，详见 Allow 响应头。",
        )


class Unexpected(Refusal):
    """A fault of ours. Nothing of it is told; the log has it."""

    def __init__(self) -> None:
        super().__init__(
            "internal_error",
            en="Something went wrong on our side. It has been recorded. Retry with the same Idempotency-Key.",
            zh="服务内部错误，已记录。请以相同的 Idempotency-Key 重试。",
        )


MEANINGS: Final[dict[type[Refusal], dict[Language, str]]] = {
    errors.Malformed: {
        "en": "the request cannot be read; `code` says why.",
        "zh-CN": "请求无法解析，原因见 code。",
    },
    errors.IdempotencyKeyMissing: {
        "en": "a call that can move money needs an Idempotency-Key.",
        "zh-CN": "可能涉及资金的调用必须带 Idempotency-Key。",
    },
    errors.Unauthenticated: {"en": "no valid API key.", "zh-CN": "没有有效的 API 密钥。"},
    errors.SignatureRefused: {
        "en": "the site wants reports to be signed, and this one is not, or not so that it counts.",
        "zh-CN": "站点要求退款结果带签名，而该请求未签名或签名无效。",
    },
    errors.ScopeMissing: {"en": "the key lacks a scope.", "zh-CN": "密钥缺少所需权限。"},
    errors.UploadExpired: {
        "en": "a file was announced too long ago; announce it again.",
        "zh-CN": "文件声明已过期，请重新声明。",
    },
    errors.NotFound: {
        "en": "absent, or not visible to this key; the two look the same.",
        "zh-CN": "不存在，或对该密钥不可见，两者不作区分。",
    },
    MethodNotAllowed: {"en": "see the Allow header.", "zh-CN": "详见 Allow 响应头。"},
    errors.TooSlow: {"en": "the body did not arrive in time.", "zh-CN": "请求体未能及时送达。"},
    errors.Conflict: {
        "en": "the present state does not allow this; `code` says why.",
        "zh-CN": "当前状态不允许该操作，原因见 code。",
    },
    errors.IdempotencyKeyInUse: {
        "en": "the first request with the key is still running; retry.",
        "zh-CN": "使用该键的首个请求仍在处理，请重试。",
    },
    errors.Stale: {"en": "the ETag in If-Match is out of date.", "zh-CN": "If-Match 中的 ETag 已过期。"},
    errors.TooLarge: {"en": "the body is too large.", "zh-CN": "请求体过大。"},
    errors.UnsupportedMediaType: {
        "en": "send application/json in UTF-8.",
        "zh-CN": "请发送 UTF-8 的 application/json。",
    },
    errors.UnsupportedFile: {
        "en": "the bytes of a file are of no type that is taken as evidence.",
        "zh-CN": "文件内容不是可接受的证据类型。",
    },
    errors.Invalid: {"en": "`errors` names the fields.", "zh-CN": "字段错误见 errors。"},
    errors.IdempotencyKeyReused: {
        "en": "the key was used for another request.",
        "zh-CN": "该键已用于另一请求。",
    },
    errors.RateLimited: {"en": "slow down; see Retry-After.", "zh-CN": "请降低频率，详见 Retry-After。"},
    Unexpected: {"en": "a fault of ours; retry.", "zh-CN": "服务内部错误，请重试。"},
    errors.Unavailable: {"en": "retry after Retry-After seconds.", "zh-CN": "请在 Retry-After 秒后重试。"},
    errors.FilesUnavailable: {
        "en": "the place where files are kept cannot be reached; retry.",
        "zh-CN": "文件存储暂不可用，请重试。",
    },
    errors.Busy: {
        "en": "another request holds the record; retry.",
        "zh-CN": "记录正被另一请求占用，请重试。",
    },
}
