"""The kinds of work, and which of them somebody is waiting for."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What is to be done; the key says to which row (0 where it is about everything)."""

    TRY_ACCOUNT = "try_account"
    SIGN_IN = "sign_in"  # to an account, at the platform's own page
    POLL_ACCOUNT = "poll_account"
    TAKE_SIGHTINGS = "take_sightings"  # of an account
    FETCH_AGAIN = "fetch_again"  # a sighting that was withheld
    SEND_REPLY = "send_reply"
    PROBE_REPLY = "probe_reply"
    FILE_COPY = "file_copy"  # of a reply
    FETCH_PICTURES = "fetch_pictures"  # of a message whose reader wants to see them
    RECOMPUTE_DATES = "recompute_dates"  # of an office whose calendar changed
    WATCH_CLOCKS = "watch_clocks"  # what becomes otherwise by time alone
    SEND_NOTICE = "send_notice"
    MAIL_LINK = "mail_link"  # an invitation or a reset
    WATCH_HEALTH = "watch_health"
    KEEP_GOING = "keep_going"  # what should be waiting waits
    SEAL_AUDIT = "seal_audit"
    SWEEP_STORE = "sweep_store"

    @property
    def priority(self) -> int:
        """Higher goes first: what a person waits for before what fetches three weeks of post."""
        return _PRIORITY.get(self, 0)


_PRIORITY = {
    Kind.TRY_ACCOUNT: 2,
    Kind.SIGN_IN: 2,
    Kind.SEND_REPLY: 2,
    Kind.FETCH_PICTURES: 2,
    Kind.PROBE_REPLY: 1,
    Kind.SEND_NOTICE: 1,
    Kind.MAIL_LINK: 1,
    Kind.WATCH_HEALTH: 1,
}
