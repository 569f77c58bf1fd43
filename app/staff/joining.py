"""Adding somebody from the command line, with everything that goes with it, and the addresses of links."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.deployment import Deployment
from app.office.queries import office
from app.settings import Settings
from app.staff import actions
from app.staff.models import Link, Purpose, Role
from app.staff.passwords import Passwords


def add(
    session: Session,
    deployment: Deployment,
    *,
    email: str,
    name: str,
    password: str | None,
    is_administrator: bool,
    office_id: int | None,
    role: str,
    at: datetime,
) -> str:
    """Somebody new, with a seat where an office is named: their number, or without a password the link to join by."""
    passwords = Passwords(deployment.keys.passwords)
    kept = None if password is None else passwords.hash(password, own_words=(name, email))
    staff = actions.create_staff(
        session, email=email, name=name, password=kept, is_administrator=is_administrator, at=at
    )
    if office_id is not None:
        of = office(session, office_id)
        actions.add_member(session, office_id=of.id, staff_id=staff.id, role=Role(role), by=None, at=at)
    if kept is not None:
        return str(staff.id)
    return address(deployment.settings, actions.invitation(session, staff, by=None, at=at))


def address(settings: Settings, link: Link) -> str:
    """The whole address of a link, made now and shown or sent now; one made earlier is good for nothing any more."""
    page = "join" if link.purpose is Purpose.INVITATION else "reset"
    return f"{str(settings.public_url).rstrip('/')}/{page}/{actions.reveal(link)}"
