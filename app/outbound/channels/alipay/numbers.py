"""How a refund at Alipay is called."""


def channel_refund_no(trade_no: str, refund_no: str) -> str:
    """`2013112011001004330000121536:rf…`: Alipay's number of the trade, and the one that the refund was made under.

    Alipay gives refunds no number of their own: a refund is known by its trade and its 退款请求号 (out_request_no),
    unique within the trade. A refund of the bill that was made without one is known by its second instead.
    """
    return f"{trade_no}:{refund_no}"
