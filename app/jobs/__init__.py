"""Work that is due: one small interface, two engines.

On SQLite a table and threads, on PostgreSQL Procrastinate.

``defer`` inside the transaction that makes the work due. Per kind and key at most one waits, beside one that runs:

    defer → waiting → (a worker claims it) running → done
               ↑                              │ the handler names a time, or fails and is tried again later
               └──────────────────────────────┤
                                              └ fails too often → parked, until somebody defers or retries it

A job may run twice: its worker may die after the work and before it could say so. Handlers bear that.
"""

from app.jobs.actions import defer, retry
from app.jobs.kinds import Kind
from app.jobs.queries import Parked, parked
from app.jobs.running import Handler, is_stopping

__all__ = ["Handler", "Kind", "Parked", "defer", "is_stopping", "parked", "retry"]
