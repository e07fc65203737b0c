"""What stops the launcher, said so that the reader knows what to do next."""


class LaunchRefused(Exception):
    """Shown as it is, in English and Chinese, without a traceback; the exit status is 1."""

    def __init__(self, english: str, chinese: str) -> None:
        super().__init__(f"{english}\n{chinese}")


class Stopped(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal. Not an Exception, so that nothing on the way out swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
