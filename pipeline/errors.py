"""What can go wrong, said so that a person can mend it: where, what was found, what to do."""

from __future__ import annotations


class BertctlError(Exception):
    """The base of every error meant for people.

    `message` says where, what was found and what was expected; `hint` says what to do.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way back from a worker process, hint included."""
        return _rebuild, (type(self), self.message, self.hint)


class WorkFailed(BertctlError):
    """The work itself failed: a full disk, a worker gone for good, a loss that is not a number."""

    exit_code = 1


class OthersGone(WorkFailed):
    """Another of the processes that train together ended; started again, all may go on."""


class BadInput(BertctlError):
    """The user's files or settings can't be used as they are; found before work where possible."""

    exit_code = 2


class OutputRefused(BertctlError):
    """The output directory isn't ours, is in use, or holds the result of another recipe."""

    exit_code = 2


class Stopped(BertctlError):
    """Someone asked for the work to stop; all that was done is kept."""

    exit_code = 0


class ShareDone(BertctlError):
    """This process's share of the work is done; what is left is others'."""

    exit_code = 0


def _rebuild(kind: type[BertctlError], message: str, hint: str) -> BertctlError:
    return kind(message, hint=hint)
