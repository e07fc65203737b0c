"""Closed sets in words, Chinese and English, for messages and for the catalogue."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from app.rules.facts import (
    CancelledBy,
    CardStatus,
    CardUse,
    EvidenceKind,
    MerchantStatus,
    OrderStatus,
    Position,
    Reason,
    Remedy,
    Ruled,
    RulingCode,
    Trait,
    Usage,
    UsedBy,
    Via,
)
from app.rules.findings import Circumstance, Outcome
from app.rules.reasons import REASONS
from app.rules.weighing import Discount

Words = tuple[str, str]

LABELS: Mapping[type[StrEnum], Mapping[str, Words]] = MappingProxyType(
    {
        Reason: {reason.value: (terms.zh, terms.en) for reason, terms in REASONS.items()},
        Remedy: {"refund": ("仅退款", "a refund"), "return_and_refund": ("退货退款", "a return and a refund")},
        Via: {"platform": ("平台渠道", "on the platform"), "private": ("私下协商", "in private")},
        OrderStatus: {
            "pending_payment": ("待支付", "unpaid"),
            "paying": ("支付中", "being paid"),
            "payment_failed": ("支付失败", "payment failed"),
            "paid": ("已支付", "paid"),
            "delivered": ("已发货", "delivered"),
            "completed": ("已完成", "completed"),
            "cancelled": ("已取消", "cancelled"),
        },
        CancelledBy: {"buyer": ("买家", "buyer"), "merchant": ("商家", "merchant"), "platform": ("平台", "platform")},
        CardUse: {
            "single_use": ("一次性", "for one buyer"),
            "shared": ("共享", "shared"),
            "unknown": ("未知", "unknown"),
        },
        CardStatus: {
            "unknown": ("未知", "not checked"),
            "valid": ("有效", "valid"),
            "invalid": ("无效", "invalid"),
            "expired": ("已过期", "expired"),
        },
        Usage: {
            "unused": ("未使用", "unused"),
            "activated": ("已激活", "activated"),
            "consumed": ("已消耗", "consumed"),
            "unknown": ("使用情况未知", "not known to be used or unused"),
        },
        UsedBy: {"buyer": ("买家", "the buyer"), "other": ("他人", "somebody else"), "unknown": ("未知", "unknown")},
        MerchantStatus: {
            "active": ("正常", "active"),
            "suspended": ("停业", "suspended"),
            "unreachable": ("失联", "unreachable"),
        },
        Position: {
            "accept": ("同意退款", "agrees"),
            "contest": ("有异议", "objects"),
            "offer_reissue": ("提出补发", "offers a re-issue"),
        },
        Trait: {
            "trial": ("体验商品", "trial goods"),
            "final_sale": ("不退不换商品", "final sale"),
            "custom_made": ("定制商品", "custom-made goods"),
            "account": ("账号类商品", "an account"),
        },
        EvidenceKind: {
            "order_record": ("订单截图", "the order record"),
            "payment_proof": ("支付凭证", "a proof of payment"),
            "chat_log": ("站内沟通记录", "the chat log on the site"),
            "delivery_anomaly": ("到账异常截图", "a screenshot of the failed delivery"),
            "error_screenshot": ("错误提示截图", "an error screenshot"),
            "listing_snapshot": ("商品详情页截图", "a snapshot of the listing"),
            "received_proof": ("实际收到凭证", "a proof of what was received"),
            "failure_page": ("支付失败页面", "the payment failure page"),
            "network_log": ("网络日志", "a network log"),
            "operation_record": ("操作记录", "a record of what was done"),
            "merchant_statement": ("商户证明（盖章）", "a stamped statement of the merchant"),
            "third_party_statement": ("第三方佐证", "a third party's statement"),
            "bank_statement": ("银行流水", "a bank statement"),
            "screen_recording": ("录屏", "a screen recording"),
            "notarised_record": ("公证证据", "a notarised record"),
            "other": ("其他证据", "other evidence"),
        },
        Outcome: {
            "approve": ("通过", "approved"),
            "reject": ("驳回", "rejected"),
            "wait": ("等待", "waiting"),
            "request_evidence": ("补充证据", "more evidence asked for"),
            "await_merchant": ("等待商家答复", "the merchant's answer awaited"),
            "manual_review": ("人工审核", "a person's review"),
        },
        Ruled: {"approve": ("支持", "granted"), "reject": ("驳回", "refused")},
        RulingCode: {
            "evidence_convinces": ("证据足以采信", "the evidence convinces"),
            "records_wrong": ("平台记录有误", "the records are wrong"),
            "merchant_failed": ("商家未履约", "the merchant failed"),
            "platform_failed": ("平台存在过失", "the platform failed"),
            "goodwill": ("善意补偿", "goodwill"),
            "evidence_insufficient": ("证据不足", "the evidence does not convince"),
            "goods_delivered": ("商品已交付", "the goods were delivered"),
            "goods_used": ("商品已使用", "the goods were used"),
            "outside_the_terms": ("不符合退款规则", "the terms do not cover it"),
            "bad_faith": ("申请缺乏诚信", "the claim was made in bad faith"),
            "other": ("其他", "another reason, given in words"),
        },
        Circumstance: {
            "cancelled_by_buyer": ("买家主动取消订单", "the buyer cancelled the order"),
            "missing": ("未生成", "missing"),
            "not_refundable": ("商品约定不退", "the product's terms say no refund"),
        },
        Discount: {
            "other_order": ("所示订单号不是本订单", "it shows another order's number"),
            "captured_before_order": ("取证时间早于下单", "it was captured before the order was placed"),
            "captured_after_as_of": ("取证时间晚于裁定时间", "it was captured after the moment of judgement"),
            "private_chat": ("不是站内沟通记录", "it is not a chat on the site"),
            "composite": ("为拼接图片", "it is a composite image"),
            "not_stamped": ("未加盖公章或电子签章", "it is neither stamped nor e-signed"),
            "reused": ("同一文件曾用于其他订单的案件", "the same file was put forward in another order's case"),
        },
    }
)


def words_of(value: StrEnum) -> Words:
    """A member of a closed set in Chinese and English."""
    return LABELS[type(value)][value]
