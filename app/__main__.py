"""``python -m app``: see ``app.cli``.

Imports make a quarter of a million objects and no garbage. Looking for some all the while takes an eighth of a start,
so nobody looks until they are done, and what they made is never looked through again.
"""

import gc

gc.disable()

from app.cli import main  # noqa: E402

gc.freeze()
gc.enable()

if __name__ == "__main__":
    main()
