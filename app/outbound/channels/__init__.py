"""Payment channels that the service itself asks to refund: 微信支付, 支付宝, 易支付-style aggregators."""
