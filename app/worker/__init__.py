"""The second process: fires deadlines, sends webhooks, forgets what need not be kept. `python -m app.worker`."""
