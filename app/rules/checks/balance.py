"""What may still go back at all: a question that several stages ask."""

from app.rules.findings import Effect, Rule, Stage

NOTHING_TO_REFUND = Rule(
    "nothing-to-refund",
    Stage.FORM,
    Effect.BLOCKS,
    "seed 000 §二 第三步",
    en="Nothing is left to refund: what was paid, less what already went back, is {balance}.",
    zh="没有可退的金额：已付金额减去已退金额后为 {balance}。",
    when_en="what was paid, less what already went back, is nil",
    when_zh="已付金额减去已退金额为零",
    looks_at=("balance",),
)
