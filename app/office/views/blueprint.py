"""The blueprint that the pages about offices share, and the office that a page is about."""

from __future__ import annotations

from flask import Blueprint

from app.errors import Missing
from app.office import queries
from app.office.models import Office
from app.web.guard import offices
from app.web.session import session

blueprint = Blueprint("office", __name__)


def office_of(office_id: int) -> Office:
    """An office in which whoever asks may do this; raises Missing for any other."""
    if office_id not in offices():
        raise Missing
    return queries.office(session, office_id)
