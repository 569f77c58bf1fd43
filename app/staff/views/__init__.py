"""Pages about people: signing in, one's own settings, the team of an office, everybody who can sign in."""

from app.staff.views import everybody, own_settings, signing_in, team
from app.staff.views.blueprint import blueprint

__all__ = ["blueprint", "everybody", "own_settings", "signing_in", "team"]
