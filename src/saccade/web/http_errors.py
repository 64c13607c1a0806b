"""Why a request is not answered: in words for whoever sent it, without anything of this machine."""

from __future__ import annotations


class RequestError(Exception):
    """A request is answered with an error.

    Args:
        status: of HTTP.
        reason: one plain sentence, which tells nothing of paths or versions.
        retry_after: seconds after which to try again, for 503.
    """

    def __init__(self, status: int, reason: str, *, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer."""
        return {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
