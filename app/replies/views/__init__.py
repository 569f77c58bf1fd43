"""Writing and sending: the composer, what is on its way, writing first."""

from app.replies.views import beginning, composing, going, threads
from app.replies.views.blueprint import blueprint

__all__ = ["beginning", "blueprint", "composing", "going", "threads"]
