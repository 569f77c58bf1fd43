"""Fernmoor from its founding to the morning of Tuesday 7 April 2026: everything comes in through the real intake.

What people did before the demonstration opens (who took what, what was passed on, what is an emergency) is done here by
the verbs the pages use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import clock
from app.cases import actions
from app.cases.models import Case, Outcome
from app.channels.actions import activate, add_account
from app.channels.models import Account
from app.channels.trying import try_account
from app.deadlines.holidays import Nation
from app.deadlines.obligations import Emergency
from app.demonstration.world import FOUNDED, OPENS, at
from app.deployment import Deployment
from app.intake.poll import poll_account
from app.intake.take import take_sightings
from app.messages.models import Message
from app.office.actions import create_office, finish_set_up
from app.office.models import Numbering
from app.staff.actions import add_member, create_staff
from app.staff.models import Role, Staff

TANSY, BRAM, ADMINISTRATOR, OSSIAN = (
    "tansy.quillfeather@fernmoor.example",
    "bram.oxlip@fernmoor.example",
    "juniper.slate@fernmoor.example",
    "ossian.pepperwell@fernmoor.example",
)
_PLACE = "Millpond & Ashgrove, Fernmoor"
_CHANNELS = ("manual", "webform", "reddit", "mastodon", "bluesky", "facebook", "email")
_FIRST_NUMBER = 98  # MA-26-0098 is the case that reopens late (domain.md section 8)
_NUMBERS_OF_APRIL = 147

_TOPICS = {
    "bins-1": "Waste",
    "bins-2": "Waste",
    "bins-3": "Waste",
    "pothole": "Roads",
    "planning": "Planning",
    "boiler": "Housing",
    "damp-1": "Housing",
    "damp-2": "Housing",
    "council-tax": "Council tax",
    "appeal": "Schools",
    "late-2": "Drainage",
    "streetlight": "Street lighting",
    "golau": "Street lighting",
    "permits": "Parking",
    "foi": "Information",
    "erase": "Information",
    "press": "Press",
    "cold": "Safeguarding",
    "threat": "Threat",
}


def found(deployment: Deployment) -> None:
    """Make Fernmoor in an empty database; afterwards the clock stands at the opening and runs."""
    with _at(FOUNDED):
        accounts = _offices(deployment)
    with _at(at(16, 11, month=3)):
        _fetch(deployment, accounts)
    with _at(at(17, 15, month=3)), deployment.database.transaction() as session:
        actions.close(
            session, _case(session, "late-1"), outcome=Outcome.PASSED_ON, by=_staff(session, BRAM), at=clock.now()
        )
        session.execute(sa.update(Numbering).values(last=_NUMBERS_OF_APRIL - 1))
    with _at(OPENS - timedelta(minutes=2)):
        _fetch(deployment, accounts)
        with deployment.database.transaction() as session:
            _triage(session)
    clock.start_at(OPENS)


@contextmanager
def _at(moment: datetime) -> Iterator[None]:
    clock.use(lambda: moment)
    yield


def _offices(deployment: Deployment) -> list[int]:
    """Both councillors of the ward, the people who help them, and their accounts; the ids of the accounts."""
    with deployment.database.transaction() as session:
        juniper = create_staff(session, email=ADMINISTRATOR, name="Juniper Slate", is_administrator=True, at=FOUNDED).id
        bram = create_staff(session, email=BRAM, name="Bram Oxlip", at=FOUNDED).id
        accounts: list[int] = []
        for email, name, prefix, channels in (
            (TANSY, "Cllr Tansy Quillfeather", "MA", _CHANNELS),
            (OSSIAN, "Cllr Ossian Pepperwell", "OP", ("email",)),
        ):
            councillor = create_staff(session, email=email, name=name, at=FOUNDED).id
            office = create_office(
                session,
                name=name,
                place=_PLACE,
                prefix=prefix,
                nation=Nation.ENGLAND_AND_WALES,
                by=juniper,
                at=FOUNDED,
            )
            add_member(session, office_id=office.id, staff_id=councillor, role=Role.COUNCILLOR, by=juniper, at=FOUNDED)
            add_member(session, office_id=office.id, staff_id=bram, role=Role.CASEWORKER, by=juniper, at=FOUNDED)
            finish_set_up(session, office, by=juniper, at=FOUNDED)
            if prefix == "MA":
                session.add(Numbering(office_id=office.id, year=FOUNDED.year, last=_FIRST_NUMBER - 1))
            accounts += [
                add_account(
                    session,
                    deployment.sealer,
                    deployment.connectors[channel].manifest,
                    office_id=office.id,
                    options=_options(email, name, channel),
                    since=None,
                    by=juniper,
                    at=FOUNDED,
                ).id
                for channel in channels
            ]
    for account_id in accounts:
        try_account(deployment, account_id)
        with deployment.database.transaction() as session:
            activate(session, session.get_one(Account, account_id), by=juniper, at=FOUNDED)
    return accounts


def _options(email: str, name: str, channel: str) -> dict[str, str]:
    short = email.partition(".")[0]
    handles = {
        "reddit": "u/cllr_quillfeather",
        "mastodon": "@cllr_quillfeather@fernmoor.example",
        "bluesky": "@quillfeather.fernmoor.example",
    }
    return {"address": handles.get(channel, email), "name": name, "office": short}


def _fetch(deployment: Deployment, accounts: list[int]) -> None:
    for account_id in accounts:
        poll_account(deployment, account_id, everything=True)
        take_sightings(deployment, account_id)


def _triage(session: Session) -> None:
    """What Bram and Tansy did before nine."""
    bram, tansy = _staff(session, BRAM), _staff(session, TANSY)
    for key, topic in _TOPICS.items():
        actions.set_topic(session, _case(session, key), topic=topic, by=bram)
    actions.flag_emergency(session, _case(session, "threat"), kind=Emergency.THREAT, since=at(5, 23, 52), by=bram)
    actions.flag_emergency(session, _case(session, "cold"), kind=Emergency.SAFEGUARDING, since=at(7, 7, 48), by=bram)
    for key, deadline_at, what in (
        ("press", at(7, 12), "The Bugle goes to print"),
        ("appeal", at(10, 17), "Admission appeal closes"),
    ):
        actions.set_external_deadline(session, _case(session, key), deadline_at=deadline_at, what=what, by=bram)
    actions.promise(
        session,
        _case(session, "permits"),
        promised_on=date(2026, 4, 10),
        reason="Tansy said at the surgery that she would find out by Friday.",
        by=tansy,
        at=clock.now(),
    )
    for key in ("bins-1", "bins-2", "boiler", "streetlight"):
        actions.take(session, _case(session, key), by=bram)
        actions.read(session, _case(session, key), by=bram)
    for key in ("planning", "permits"):
        actions.take(session, _case(session, key), by=tansy)
        actions.read(session, _case(session, key), by=tansy)


def _case(session: Session, key: str) -> Case:
    """The case on which the message ``key`` of the world lies."""
    query = sa.select(Case).join(Message, Message.case_id == Case.id)
    return session.scalars(query.where(sa.or_(Message.platform_id == key, Message.platform_id.like(f"<{key}@%")))).one()


def _staff(session: Session, email: str) -> int:
    return session.scalars(sa.select(Staff.id).where(Staff.email == email)).one()
