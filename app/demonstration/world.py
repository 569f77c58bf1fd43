"""What the people of Fernmoor say, and when: the world of the demonstration, as data.

Everybody and everything here is invented; addresses end in ``.example``, telephone numbers are 01632 960xxx. Times are
London's. Whatever is said after Tuesday 7 April 2026, 09:00 trickles in while somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from connectors import Audience, Kind

LONDON = ZoneInfo("Europe/London")


def at(day: int, hour: int, minute: int = 0, month: int = 4) -> datetime:
    """A moment of spring 2026 in Fernmoor."""
    return datetime(2026, month, day, hour, minute, tzinfo=LONDON)


FOUNDED = at(2, 9, month=3)  # the office connects its accounts
OPENS = at(7, 9)  # the demonstration begins


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One thing somebody said. ``thread`` ties it to others; ``above`` is the post it stands under."""

    key: str
    channel: str
    at: datetime
    name: str
    handle: str
    text: str
    kind: Kind = Kind.MAIL
    audience: Audience = Audience.DIRECT
    subject: str = ""
    stream: str = ""
    thread: str = ""
    above: str = ""
    language: str = ""
    photo: str = ""


def _mail(
    key: str,
    when: datetime,
    name: str,
    handle: str,
    subject: str,
    text: str,
    *,
    stream: str = "INBOX",
    thread: str = "",
    language: str = "",
    photo: str = "",
) -> Said:
    return Said(
        key=key,
        channel="email",
        at=when,
        name=name,
        handle=handle,
        subject=subject,
        text=text,
        stream=stream,
        thread=thread,
        language=language,
        photo=photo,
    )


def _comment(key: str, when: datetime, name: str, text: str, above: str) -> Said:
    return Said(
        key=key,
        channel="facebook",
        at=when,
        name=name,
        handle=name,
        kind=Kind.COMMENT,
        audience=Audience.PUBLIC,
        text=text,
        above=above,
        stream="comments",
    )


def _mention(key: str, channel: str, when: datetime, handle: str, text: str, name: str = "") -> Said:
    return Said(
        key=key,
        channel=channel,
        at=when,
        name=name or handle,
        handle=handle,
        kind=Kind.MENTION,
        audience=Audience.PUBLIC,
        text=text,
        stream="mentions",
    )


def _direct(key: str, channel: str, when: datetime, name: str, handle: str, text: str) -> Said:
    return Said(
        key=key,
        channel=channel,
        at=when,
        name=name,
        handle=handle,
        kind=Kind.DIRECT_MESSAGE,
        text=text,
        stream="messages",
    )


def _form(key: str, when: datetime, name: str, handle: str, subject: str, text: str) -> Said:
    return Said(
        key=key,
        channel="webform",
        at=when,
        name=name,
        handle=handle,
        kind=Kind.FORM,
        subject=subject,
        text=text,
        stream="forms",
    )


CROSSING = "The new crossing on Weir Road opens on Thursday. Thank you to everyone who wrote in about it."
SCOUTS = "Somebody broke into the scout hut again. If you saw anything, please ring the police on 101."

TANSY: tuple[Said, ...] = (
    _mail(
        "bins-1",
        at(2, 16, 20),
        "Hester Brindlecombe",
        "hester.brindlecombe@larkrise.example",
        "Brown bin missed again, Larkrise Close",
        "Dear Cllr Quillfeather,\n\nThe brown bins on Larkrise Close were missed again this morning. That is the third "
        "time in six weeks. I have reported it on the website each time and each time I am told that the crew “could "
        "not gain access”, which is nonsense: the road was empty.\n\nCould you find out what is really going on?\n\n"
        "Hester Brindlecombe\n11 Larkrise Close, FM3 2QA\n01632 960114",
        photo="larkrise-bins.png",
    ),
    _mention(
        "pothole",
        "reddit",
        at(3, 11, 5),
        "u/potted_newt",
        "Tagging u/cllr_quillfeather: there is a crater outside the Co-op on Weir Rd you could lose a pram in. Been there "
        "since February. Does anyone at the council actually drive down this road?",
    ),
    _mail(
        "planning",
        at(4, 10, 12),
        "Cuthbert Mossgrove",
        "c.mossgrove@ashgrovelane.example",
        "Please oppose 26/00417/FUL",
        "Tansy,\n\nYou will have seen the plans for those monstrous flats behind the old maltings (26/00417/FUL). Four "
        "storeys! I trust we can count on you to vote against them when it comes to committee on the 22nd.\n\n"
        "Cuthbert Mossgrove",
    ),
    _form(
        "boiler",
        at(2, 19, 30),
        "Ottoline Harkaway",
        "ottoline.harkaway@post.example",
        "No heating or hot water since Sunday",
        "Our boiler has been out since Sunday and the landlord does not answer. I have two small children and it was four "
        "degrees in the kitchen this morning. Who can make him mend it? Flat 2, 9 Weir Road, FM3 1BT.",
    ),
    _mail(
        "council-tax",
        at(2, 9, 12),
        "Pia Sandvoss",
        "pia.sandvoss@post.example",
        "My mother’s council tax summons",
        "Dear Councillor,\n\nI am writing for my mother, Edith Sandvoss, who lives at 3 Sluice Cottages. She has "
        "dementia and has had a summons for council tax although she has been in receipt of support for years. She does "
        "not understand the letters and is frightened. I have her power of attorney and can send it.\n\nPia Sandvoss",
    ),
    _direct(
        "appeal",
        "mastodon",
        at(6, 15, 40),
        "Rollo Tamblyn",
        "@rollo_t@fernmoor.example",
        "Hi, our daughter has been refused a place at Ashgrove Primary although we live 300 m away. The letter says we "
        "have to appeal by this Friday. Can you tell me who to talk to?",
    ),
    _comment("abuse", at(6, 22, 10), "Gorse Bandit", "useless lying cow. resign", CROSSING),
    _comment(
        "obscene", at(5, 2, 31), "Vik Tooks", "hot singles in fernmoor tonight!!! free pics at tooks.example", CROSSING
    ),
    _comment(
        "allegation",
        at(4, 18, 20),
        "Wendell Crake",
        "Everyone knows Mr Wexcombe-Vane of 14 Larkrise robbed the scout hut. Why is nobody arresting him?",
        SCOUTS,
    ),
    _mail(
        "threat",
        at(5, 23, 52),
        "",
        "anon@nowhere.example",
        "you",
        "I know you run by the weir at six. You’ll be sorry.",
    ),
    _mail(
        "seo",
        at(6, 3),
        "Zippy Rank Boost",
        "growth@zippyrank.example",
        "Get cllr-quillfeather to page 1 of search!",
        "Hi there, we looked at your web site and found 37 problems that keep you from ranking. Reply YES for a free audit.",
        stream="Junk",
    ),
    _direct(
        "press",
        "bluesky",
        at(7, 8, 5),
        "Fernmoor Bugle",
        "@bugle.fernmoor.example",
        "Morning Tansy. We are told the leisure centre closes in June. Is that right? We go to print at noon and would "
        "like a line from you.",
    ),
    _mail(
        "streetlight",
        at(6, 10),
        "Jory Pennywhistle",
        "jory@pennywhistle.example",
        "Street light out at the end of Tanner’s Row",
        "Hello, the street light at the end of Tanner’s Row (FM7 9LL) has been out since the storm. Could you get it "
        "mended please? Thanks, Jory Pennywhistle",
    ),
    _mail(
        "golau",
        at(6, 9, 15),
        "Gwenllian Tybiedig",
        "gwenllian@tybiedig.example",
        "Golau stryd wedi diffodd",
        "Annwyl Gynghorydd,\n\nMae’r golau stryd y tu allan i’r neuadd wedi bod yn ddiffodd ers pythefnos bellach. "
        "Mae’n beryglus i’r bobl hŷn gyda’r nos. A allwch chi helpu, os gwelwch yn dda?\n\nGwenllian Tybiedig",
        language="cy",
    ),
    _form(
        "cold",
        at(7, 7, 48),
        "A. Fenwhistle",
        "a.fenwhistle@post.example",
        "no heating",
        "I am 78. The heating stopped on Saturday. I have not eaten since Sunday as I can not get to the shop. I did not "
        "like to bother anyone over Easter. 2 Mill Lane. My telephone is 01632 960178.",
    ),
    _mail(
        "foi",
        at(2, 13),
        "Larkspur Action Group",
        "secretary@larkspur.example",
        "Freedom of Information request: leisure centre",
        "Under the Freedom of Information Act 2000 please send us all reports on the future of Fernmoor Leisure Centre "
        "received since 1 January 2025.\n\nLarkspur Action Group",
    ),
    _mention(
        "thanks",
        "mastodon",
        at(7, 8, 30),
        "@heron_watch@fernmoor.example",
        "@cllr_quillfeather just wanted to say thanks, the crossing is brilliant. My dad can get to the park again.",
        name="Heron Watch",
    ),
    _direct(
        "damp-1",
        "facebook",
        at(5, 21, 40),
        "Perpetua L.",
        "Perpetua L.",
        "Hello, we have mould all over the bedroom wall and my little boy has asthma. The housing association sent someone "
        "who painted over it. It is worse again. What can I do?",
    ),
    _mail(
        "damp-2",
        at(7, 7, 10),
        "Perpetua Lindmoor",
        "perpetua.lindmoor@post.example",
        "Damp",
        "As I said on Facebook, it is getting worse, he was up all night coughing. I have photographs. Perpetua Lindmoor",
    ),
    _mail(
        "late-1",
        at(16, 10, 5, month=3),
        "Isolde Crabtree",
        "isolde.crabtree@post.example",
        "Water running down Sluice Hill",
        "Dear Cllr Quillfeather,\n\nThere is water running down Sluice Hill again and it freezes at night. Last winter "
        "my neighbour broke her wrist there. Please could somebody look at the drain?\n\nIsolde Crabtree",
    ),
    _mail(
        "late-2",
        at(7, 8, 10),
        "Isolde Crabtree",
        "isolde.crabtree@post.example",
        "Re: Water running down Sluice Hill",
        "Three weeks and nothing! I was told that it had been “passed on”. To whom?\n\nIsolde Crabtree",
        thread="late-1",
    ),
    _mention(
        "budget",
        "bluesky",
        at(4, 20, 2),
        "@kettle-fan.example",
        "@quillfeather.fernmoor.example go on, admit that your party wrecked the budget",
        name="kettle_fan",
    ),
    _mail(
        "bins-2",
        at(3, 8, 40),
        "Barnabas Thrale",
        "b.thrale@larkrise.example",
        "Bins on Larkrise",
        "Brown bins not emptied on Larkrise Close again. Number 24. B. Thrale",
    ),
    _comment(
        "bins-3",
        at(4, 9, 15),
        "Odile Farrow",
        "Any news on the Larkrise Close bins? Ours are full to the top.",
        CROSSING,
    ),
    _mention(
        "bins-4",
        "mastodon",
        at(6, 18, 22),
        "@larkrise_lou@fernmoor.example",
        "@cllr_quillfeather third missed collection on Larkrise Close. The foxes are delighted.",
        name="Lou",
    ),
    Said(
        key="permits",
        channel="manual",
        at=at(4, 10, 30),
        name="Barnaby Quickthorn",
        handle="01632 960151",
        kind=Kind.NOTE,
        subject="Parking permits in Ashgrove Lane",
        text="Came to the surgery at the library. Two permits each is too few for the houses with carers. I said that I "
        "would find out by Friday whether carers can have visitors’ permits.",
        stream="entries",
    ),
    _mail(
        "erase",
        at(2, 11, 11),
        "Sable Winterbourne",
        "sable@winterbourne.example",
        "Delete everything you hold on me",
        "Please delete every piece of data you hold on me and confirm that you have done so. Sable Winterbourne",
    ),
    _mail(
        "officer",
        at(7, 8, 55),
        "Waste Services (Member enquiries)",
        "waste.members@fernmoor.gov.example",
        "RE: ME-2291 Larkrise Close",
        "NOT FOR ONWARD CIRCULATION\n\nCouncillor,\n\nThe missed collections are due to a dispute with two crews about the "
        "new rounds. We expect it to be settled this week and will send a catch-up crew on Thursday.\n\nWaste Services",
    ),
)

OSSIAN: tuple[Said, ...] = (
    _mail(
        "hedge",
        at(6, 14, 2),
        "Philippa Dray",
        "philippa.dray@post.example",
        "Hedge over the footpath at Ashgrove Lane",
        "The hedge at number 40 is so far over the pavement that I have to push the wheelchair along the road.",
    ),
    _mail(
        "allotment",
        at(7, 8, 20),
        "Milo Tarrant",
        "milo.tarrant@post.example",
        "Allotment waiting list",
        "I have been on the waiting list for four years and was number 12 last year. I am now number 31. How?",
    ),
)

LATER: tuple[Said, ...] = (
    _mail(
        "later-1",
        at(7, 9, 2),
        "Hester Brindlecombe",
        "hester.brindlecombe@larkrise.example",
        "Re: Brown bin missed again, Larkrise Close",
        "P.S. Number 13 says that theirs was emptied, so the lorry was here.",
        thread="bins-1",
    ),
    _mention(
        "later-2",
        "bluesky",
        at(7, 9, 5),
        "@weirwalker.example",
        "@quillfeather.fernmoor.example is the towpath open again after the flood?",
        name="Weir Walker",
    ),
    _comment("later-3", at(7, 9, 9), "Sunniva Holt", "Will the crossing have a sound for blind people?", CROSSING),
    _mail(
        "later-4",
        at(7, 9, 14),
        "Tobias Underhay",
        "tobias@underhay.example",
        "Dog mess by the playground",
        "Good morning, the bin by the playground on Mill Lane has gone and the grass is in a state. Could it come back?",
    ),
    _direct(
        "later-5",
        "facebook",
        at(7, 9, 20),
        "Perpetua L.",
        "Perpetua L.",
        "Housing just rang, they can come on the 23rd. That is two more weeks. Can they not come sooner?",
    ),
    _mail(
        "later-6",
        at(7, 9, 28),
        "Rosamund Pike-Ellery",
        "rosamund@pikeellery.example",
        "Speeding on Ashgrove Lane",
        "Cars come down Ashgrove Lane at fifty. What would it take to have the limit looked at?",
    ),
    _form(
        "later-7",
        at(7, 9, 40),
        "Edwin Marchbanks",
        "edwin@marchbanks.example",
        "Bus shelter",
        "The glass of the bus shelter opposite the Co-op is smashed and lies on the pavement.",
    ),
    _mention(
        "later-8",
        "reddit",
        at(7, 9, 55),
        "u/fernmoor_fox",
        "u/cllr_quillfeather is it true that the Saturday market is moving to the car park?",
    ),
)

_FIRST = [
    "Ada",
    "Bram",
    "Clem",
    "Dora",
    "Ezra",
    "Flora",
    "Gil",
    "Hattie",
    "Ines",
    "Joss",
    "Kit",
    "Lena",
    "Mabel",
    "Ned",
    "Opal",
    "Perry",
    "Quin",
    "Rhoda",
    "Seth",
    "Tilda",
    "Una",
]
_LAST = [
    "Ashdown",
    "Birtles",
    "Cobley",
    "Dunmore",
    "Eastlake",
    "Fairhurst",
    "Garland",
    "Hollis",
    "Inchbald",
    "Jessop",
    "Kettley",
    "Larch",
]
_LETTER = (
    "Dear Councillor Quillfeather,\n\nI am writing to ask you to oppose the closure of Millpond Library. It is the only "
    "warm, free place in the ward, and the children’s hour is full every week. Please vote to keep it open, and tell me "
    "how you will vote.\n\nYours sincerely,\n{name}"
)
_CAMPAIGN = 212
_BUS_PASS = 137  # the one letter with a problem of its own in it


def campaign() -> Iterator[Said]:
    """The 212 letters to save the library; one of them has a second problem in its postscript."""
    for number in range(_CAMPAIGN):
        name = f"{_FIRST[number % len(_FIRST)]} {_LAST[number * 5 % len(_LAST)]}"
        text = _LETTER.format(name=name)
        if number == _BUS_PASS:
            text += "\n\nP.S. My bus pass was stopped last week and I can not get to the hospital. Who do I ring?"
        yield _mail(
            f"library-{number}",
            at(2, 9) + timedelta(minutes=33 * number),
            name,
            f"{name.replace(' ', '.').lower()}{number}@post.example",
            "Save Millpond Library",
            text,
            stream="Library",
        )
