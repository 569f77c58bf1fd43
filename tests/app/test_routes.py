"""Every route, for every role, on what is theirs, what is next door's, and what is not there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from app.cases.models import Decision, DecisionKind, Status
from app.channels.models import KnownGap, State
from app.clock import now
from app.db import Database
from app.deadlines.holidays import Nation
from app.office.models import Closure, Holiday, Office
from app.office.queries import unfinished
from app.staff import actions
from app.staff.models import Membership, Role, SignIn, Staff
from app.web import guard
from tests import make
from tests.app.conftest import World
from tests.conftest import Clock

ANYBODY = "nobody councillor caseworker viewer administrator"
SIGNED_IN = "councillor caseworker viewer administrator"
READS = "councillor caseworker viewer"
HANDLES = "councillor caseworker"
SEES_ACCOUNTS = "councillor caseworker administrator"
KEEPS = "councillor administrator"
COUNCILLOR = "councillor"
ADMINISTRATOR = "administrator"

# Who may use each route. Whoever may not is told so, before anybody looks whether there is such a thing.
ROUTES = {
    "cases.assign": HANDLES,
    "cases.bulk": HANDLES,
    "cases.close": HANDLES,
    "cases.deadline": HANDLES,
    "cases.decide": HANDLES,
    "cases.emergency": HANDLES,
    "cases.hand_back": HANDLES,
    "cases.note": HANDLES,
    "cases.promise": HANDLES,
    "cases.put_back": HANDLES,
    "cases.read": HANDLES,
    "cases.reopen": HANDLES,
    "cases.stand_down": HANDLES,
    "cases.take": HANDLES,
    "cases.topic": HANDLES,
    "cases.undo_decision": HANDLES,
    "cases.unread": HANDLES,
    "channels.add": KEEPS,
    "channels.ask": KEEPS,
    "channels.ask_again": KEEPS,
    "channels.back": KEEPS,
    "channels.change": KEEPS,
    "channels.check": KEEPS,
    "channels.choose": KEEPS,
    "channels.come_back": KEEPS,
    "channels.look_again": KEEPS,
    "channels.older": KEEPS,
    "channels.pause": KEEPS,
    "channels.remove": KEEPS,
    "channels.resume": KEEPS,
    "channels.settle_gap": KEEPS,
    "channels.sign_in": KEEPS,
    "channels.start": KEEPS,
    "channels.try_again": KEEPS,
    "health.live": ANYBODY,
    "health.metrics": ANYBODY,
    "health.ready": ANYBODY,
    "notices.mail": ADMINISTRATOR,
    "notices.try_mail": ADMINISTRATOR,
    "office.close_on": KEEPS,
    "office.correct": ADMINISTRATOR,
    "office.create": ADMINISTRATOR,
    "office.forget": ADMINISTRATOR,
    "office.holidays": ADMINISTRATOR,
    "office.office": KEEPS,
    "office.offices": KEEPS,
    "office.open_after_all": KEEPS,
    "office.promise": KEEPS,
    "office.read_holidays": ADMINISTRATOR,
    "office.save": KEEPS,
    "office.settings": KEEPS,
    "pages.account": SEES_ACCOUNTS,
    "pages.accounts": SEES_ACCOUNTS,
    "pages.audit": COUNCILLOR,
    "pages.case": READS,
    "pages.change": HANDLES,
    "pages.enclosure": READS,
    "pages.file": READS,
    "pages.frame": READS,
    "pages.home": SIGNED_IN,
    "pages.inbox": READS,
    "pages.join": HANDLES,
    "pages.live": READS,
    "pages.more": SIGNED_IN,
    "pages.original": READS,
    "pages.people": READS,
    "pages.person": READS,
    "pages.progress": READS,
    "pages.quarantine": SEES_ACCOUNTS,
    "pages.raw": READS,
    "pages.show_pictures": READS,
    "pages.retry": KEEPS,
    "pages.search": READS,
    "pages.sighting": READS,
    "people.join": HANDLES,
    "people.unjoin": HANDLES,
    "replies.address": HANDLES,
    "replies.begin": HANDLES,
    "replies.discard_draft": HANDLES,
    "replies.enclose": HANDLES,
    "replies.forward": HANDLES,
    "replies.join": HANDLES,
    "replies.look": HANDLES,
    "replies.not_delivered": HANDLES,
    "replies.note": HANDLES,
    "replies.preview": HANDLES,
    "replies.refer": HANDLES,
    "replies.remove_file": HANDLES,
    "replies.save_draft": HANDLES,
    "replies.send": HANDLES,
    "replies.settle": HANDLES,
    "replies.split_off": HANDLES,
    "replies.try_again": HANDLES,
    "replies.unrelated": HANDLES,
    "replies.withdraw": HANDLES,
    "replies.write": HANDLES,
    "setup.add_channel": ADMINISTRATOR,
    "setup.begin": ANYBODY,
    "setup.channel": ADMINISTRATOR,
    "setup.check": ADMINISTRATOR,
    "setup.discard_channel": ADMINISTRATOR,
    "setup.finish": ADMINISTRATOR,
    "setup.mail": ADMINISTRATOR,
    "setup.promise": ADMINISTRATOR,
    "setup.reply_times": ADMINISTRATOR,
    "setup.resume": ADMINISTRATOR,
    "setup.start": ANYBODY,
    "setup.start_channel": ADMINISTRATOR,
    "setup.try_again": ADMINISTRATOR,
    "setup.try_mail": ADMINISTRATOR,
    "setup.trying": ADMINISTRATOR,
    "staff.ask_for_reset": ANYBODY,
    "staff.block": ADMINISTRATOR,
    "staff.change_password": SIGNED_IN,
    "staff.change_role": KEEPS,
    "staff.choose_after_invitation": ANYBODY,
    "staff.choose_after_reset": ANYBODY,
    "staff.choose_all_offices": SIGNED_IN,
    "staff.choose_language": ANYBODY,
    "staff.choose_office": READS,
    "staff.code": ANYBODY,
    "staff.confirm": SIGNED_IN,
    "staff.end_membership": KEEPS,
    "staff.end_other_sign_ins": SIGNED_IN,
    "staff.end_sign_in": SIGNED_IN,
    "staff.everybody": ADMINISTRATOR,
    "staff.forgotten": ANYBODY,
    "staff.give_code": ANYBODY,
    "staff.give_password": ANYBODY,
    "staff.give_password_again": SIGNED_IN,
    "staff.help_page": ANYBODY,
    "staff.help_with_second_step": ADMINISTRATOR,
    "staff.invite": KEEPS,
    "staff.invite_again": KEEPS,
    "staff.join": ANYBODY,
    "staff.make_reset": ADMINISTRATOR,
    "staff.password": SIGNED_IN,
    "staff.renew_codes": SIGNED_IN,
    "staff.reset": ANYBODY,
    "staff.save_settings": SIGNED_IN,
    "staff.set_administrator": ADMINISTRATOR,
    "staff.settings": SIGNED_IN,
    "staff.sign_in": ANYBODY,
    "staff.sign_out": ANYBODY,
    "staff.switch_single_keys": SIGNED_IN,
    "staff.team": KEEPS,
    "staff.turn_off_two_step": SIGNED_IN,
    "staff.turn_on_two_step": SIGNED_IN,
    "staff.two_step": SIGNED_IN,
    "staff.unblock": ADMINISTRATOR,
    "static": ANYBODY,
}

# What stands in an address beside the numbers of things.
WORDS = {
    "view": "overdue",
    "channel": "email",
    "language": "cy",
    "state": "on",
    "name": "app.css",
    "token": "no-such-link",
}

# Nothing to see for a reason of its own, which another test looks at.
EMPTY = {
    "health.metrics": "no token is set",
    "pages.enclosure": "the store holds no bytes of it",
    "pages.file": "the store holds no bytes of it",
    "pages.raw": "the store holds no bytes of it",
    "pages.sighting": "the store holds no bytes of it",
    "pages.frame": "the mail has no HTML",
    "pages.original": "the mail has no HTML",
    "staff.change_role": "no role was sent",
    "staff.choose_after_invitation": "there is no such link",
    "staff.choose_after_reset": "there is no such link",
    "staff.join": "there is no such link",
    "staff.renew_codes": "the second step is off",
    "staff.reset": "there is no such link",
    "staff.turn_on_two_step": "nobody has looked at the secret",
}
BELONG_TO_NO_OFFICE = {"staff_id", "holiday_id"}
HERE = "http://127.0.0.1:8000"
REFUSED = {401, 403, 404, 405, 500}


@dataclass
class Doors:
    """Everything a route can be about, own and next door's, and a way to knock as somebody."""

    app: Flask
    database: Database
    world: World

    def things(self, office_id: int, who: str) -> dict[str, int]:
        """One of everything in an office, by the name it has in an address."""
        with self.database.transaction() as session:
            office = session.get_one(Office, office_id)
            return _things(session, office, self.world.staff.get(who, self.world.staff["viewer"]))

    def own(self, endpoint: str, who: str) -> dict[str, int]:
        """What is one's own for a route; the first run is about the office that is not finished."""
        if not self.numbers(endpoint) and not endpoint.startswith("setup."):
            return {}
        office_id = self.world.office_id
        if endpoint.startswith("setup.") and who == "administrator":
            with self.database.transaction() as session:
                office_id = (unfinished(session) or make.office(session)).id
        return self.things(office_id, who)

    def client(self, who: str) -> FlaskClient:
        """A client signed in as somebody, without the page for it."""
        client = self.app.test_client()
        if who != "nobody":
            with self.database.transaction() as session:
                staff = session.get_one(Staff, self.world.staff[who])
                token = actions.begin_sign_in(session, staff, browser="", at=now())
            with client.session_transaction(base_url=HERE) as cookie:
                cookie["_user_id"] = token
        return client

    def knock(
        self, who: str, endpoint: str, numbers: dict[str, int], client: FlaskClient | None = None
    ) -> TestResponse:
        """What a route answers, with the numbers that its address names."""
        rule = next(rule for rule in self.app.url_map.iter_rules() if rule.endpoint == endpoint)
        built = self.app.url_map.bind("127.0.0.1:8000").build(
            endpoint, {one: numbers.get(one, WORDS.get(one)) for one in rule.arguments}
        )
        method = "POST" if "POST" in (rule.methods or ()) else "GET"
        return (client or self.client(who)).open(built, method=method, base_url=HERE)

    def numbers(self, endpoint: str) -> set[str]:
        """The things that an address names by number."""
        rule = next(rule for rule in self.app.url_map.iter_rules() if rule.endpoint == endpoint)
        return {one for one in rule.arguments if one.endswith("_id")}


@pytest.fixture
def doors(app: Flask, database: Database, world: World) -> Doors:
    app.config["WTF_CSRF_ENABLED"] = False  # another test shows that a form without its token is refused
    return Doors(app, database, world)


def test_every_route_stands_in_the_table(app: Flask) -> None:
    assert set(app.view_functions) ^ set(ROUTES) == set()


@pytest.mark.parametrize("who", ["nobody", "viewer", "caseworker", "councillor", "administrator"])
def test_a_role_is_let_in_where_the_table_says_and_nowhere_else(doors: Doors, who: str) -> None:
    wrong = []
    for endpoint, allowed in ROUTES.items():
        answer = doors.knock(who, endpoint, doors.own(endpoint, who))
        if who not in allowed.split():
            is_right = _is_turned_away(answer, who) or (endpoint == "staff.choose_office" and answer.status_code == 404)
        elif allowed == ANYBODY:
            is_right = answer.status_code not in REFUSED or endpoint in EMPTY
        else:
            is_empty = endpoint in EMPTY and answer.status_code == 404
            is_right = is_empty or not (answer.status_code in REFUSED or _asks_who_it_is(answer))
        if not is_right:
            wrong.append(f"{endpoint}: {answer.status_code} {answer.location or ''}")
    assert wrong == []


@pytest.mark.parametrize("who", ["viewer", "caseworker", "councillor"])
def test_what_is_next_door_looks_as_if_it_were_not_there(doors: Doors, who: str) -> None:
    foreign = doors.things(doors.world.next_door_id, "stranger")
    missing = dict.fromkeys(foreign, 999_999)
    wrong = []
    for endpoint, allowed in ROUTES.items():
        numbers = doors.numbers(endpoint)
        if who not in allowed.split() or not numbers or numbers & BELONG_TO_NO_OFFICE:
            continue
        next_door, nothing = (doors.knock(who, endpoint, given) for given in (foreign, missing))
        if (next_door.status_code, nothing.status_code) != (404, 404):
            wrong.append(f"{endpoint}: {next_door.status_code} next door, {nothing.status_code} missing")
        elif next_door.data != nothing.data:
            wrong.append(f"{endpoint}: tells one from the other")
    assert wrong == []


@pytest.mark.parametrize("who", ["councillor", "administrator"])
def test_a_thing_of_next_door_is_not_found_under_ones_own_office(doors: Doors, who: str) -> None:
    own = doors.things(doors.world.office_id, who)
    foreign = doors.things(doors.world.next_door_id, "stranger")
    wrong = []
    for endpoint, allowed in ROUTES.items():
        numbers = doors.numbers(endpoint)
        if who in allowed.split() and "office_id" in numbers and len(numbers) > 1:
            answer = doors.knock(who, endpoint, foreign | {"office_id": own["office_id"]})
            if answer.status_code != 404:
                wrong.append(f"{endpoint}: {answer.status_code}")
    assert wrong == []


def test_an_administrator_meets_nothing_where_there_is_nothing(doors: Doors) -> None:
    wrong = []
    for endpoint, allowed in ROUTES.items():
        numbers = doors.numbers(endpoint)
        if "administrator" in allowed.split() and numbers:
            answer = doors.knock("administrator", endpoint, dict.fromkeys(numbers, 999_999))
            if answer.status_code != 404 and not endpoint.startswith("setup."):
                wrong.append(f"{endpoint}: {answer.status_code}")
    assert wrong == []


def test_what_needs_a_recent_password_asks_for_it_after_an_hour(doors: Doors, clock: Clock) -> None:
    fresh = [endpoint for endpoint, rule in guard.rules(doors.app).items() if rule.fresh]
    own = doors.things(doors.world.office_id, "councillor")
    clients = {who: doors.client(who) for who in ("administrator", "councillor")}
    for _ in range(3):  # in use all the time, and so not idle
        clock.advance(minutes=25)
        for client in clients.values():
            client.get("/settings", base_url=HERE)
    wrong = []
    for endpoint in fresh:
        who = "administrator" if ROUTES[endpoint] == ADMINISTRATOR else "councillor"
        answer = doors.knock(who, endpoint, own, clients[who])
        if not (answer.location or "").startswith("/confirm"):
            wrong.append(f"{endpoint}: {answer.status_code} {answer.location}")
    assert wrong == []


def _is_turned_away(answer: TestResponse, who: str) -> bool:
    return _asks_who_it_is(answer) if who == "nobody" else answer.status_code == 403


def _asks_who_it_is(answer: TestResponse) -> bool:
    return answer.status_code == 303 and (answer.location or "").partition("?")[0] in {"/sign-in", "/confirm"}


def _things(session: Session, office: Office, staff_id: int) -> dict[str, int]:
    staff = session.get_one(Staff, staff_id)
    account = make.account(session, office=office, state=State.ACTIVE)
    stream = make.stream(session, account=account)
    person = make.person(session, office=office)
    case = make.case(session, office=office, person=person)
    conversation = make.conversation(session, case=case, account=account)
    message = make.message(session, conversation=conversation)
    draft = make.draft(session, conversation=conversation, staff=staff)
    colleague = make.staff(session, office=office, role=Role.CASEWORKER)
    return {
        "account_id": account.id,
        "case_id": case.id,
        "closure_id": _add(
            session, Closure(office_id=office.id, first_on=now().date(), last_on=now().date(), name="Away")
        ),
        "conversation_id": conversation.id,
        "decision_id": _add(
            session,
            Decision(
                office_id=office.id,
                case_id=case.id,
                kind=DecisionKind.NO_REPLY_NEEDED,
                reason="Thanks",
                by_id=staff_id,
                at=now(),
                status_before=Status.NEW,
            ),
        ),
        "enclosure_id": make.enclosure(session, draft=draft).id,
        "file_id": make.file(session, message=message).id,
        "gap_id": _add(
            session,
            KnownGap(
                office_id=office.id, stream_id=stream.id, since_at=None, until_at=None, reason="cut", found_at=now()
            ),
        ),
        "holiday_id": _holiday(session),
        "identity_id": make.identity(session, person=person).id,
        "membership_id": session.query(Membership).filter_by(staff_id=colleague.id).one().id,
        "message_id": message.id,
        "office_id": office.id,
        "person_id": person.id,
        "reply_id": make.reply(session, conversation=conversation, staff=staff).id,
        "sighting_id": make.sighting(session, stream=stream).id,
        "sign_in_id": _sign_in(session, staff),
        "staff_id": colleague.id,
    }


def _holiday(session: Session) -> int:
    day_on = now().date() + timedelta(days=session.query(Holiday).count())
    return _add(session, Holiday(nation=Nation.SCOTLAND, day_on=day_on, name="Proclaimed"))


def _sign_in(session: Session, staff: Staff) -> int:
    actions.begin_sign_in(session, staff, browser="", at=now())
    return session.query(SignIn).order_by(SignIn.id.desc()).limit(1).one().id


def _add(session: Session, row: Any) -> int:
    session.add(row)
    session.flush()
    return int(row.id)
