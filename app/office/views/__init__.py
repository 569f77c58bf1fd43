"""Pages about offices: the settings of one, all of them, the bank holidays they keep."""

from app.office.views import holidays, offices, settings
from app.office.views.blueprint import blueprint

__all__ = ["blueprint", "holidays", "offices", "settings"]
