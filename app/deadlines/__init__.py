"""When an answer is due, whether it is late, and how that is said.

Pure rules over values: no database, no clock of their own (``now`` is always an argument), no wording. The reasons
are in each module: ``holidays`` (the bank holidays of the three nations), ``calendar`` (working days, the end of a
day), ``obligations`` (due dates and what moves them), ``waking`` (when a warning may be sent) and ``chips`` (the order,
the groups and the dates of the inbox).
"""
