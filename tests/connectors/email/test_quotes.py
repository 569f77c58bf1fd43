"""What the sender wrote without what it answers: folded for reading, and a sender's own words never hidden."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.email.quotes import fold, is_reply

OWN = "Thank you, but the bin is still full.\n\nHester, 12 Larkrise Close"

HEADER_BLOCK = (
    "________________________________\nFrom: Tansy Quillfeather <cllr@fernmoor.example>\nSent: 07 April 2026 08:10\n"
    "To: Hester\nSubject: RE: Brown bin\n\nI have asked the depot."
)
WELSH_HEADER_BLOCK = (
    "________________________________\nOddi wrth: Tansy Quillfeather\nAnfonwyd: 07 Ebrill 2026 08:10\nAt: Hester\n"
    "Pwnc: Bin brown\n\nRwyf wedi gofyn."
)
OLDER_HEADER_BLOCK = (
    "-----Original Message-----\nFrom: Tansy Quillfeather\nSent: 07 April 2026 08:10\nTo: Hester\nSubject: Bin\n\n"
    "I have asked the depot."
)
QUOTED = [
    # Gmail and Apple Mail, one line or broken over several.
    "On Tue, 7 Apr 2026 at 08:10, Tansy Quillfeather <c@fernmoor.example> wrote:\n\n> I have asked.\n>\n> T.",
    "On Tue, 7 Apr 2026 at 08:10, Tansy Quillfeather <\ncllr@fernmoor.example> wrote:\n> I have asked the depot.",
    "On 7 Apr 2026, at 08:10, Tansy Quillfeather wrote:\n\nI have asked the depot.\n\nTansy",
    # Without an attribution.
    "> I have asked the depot.\n> Tansy",
    # Welsh.
    "Ar Maw, 7 Ebr 2026 am 08:10 ysgrifennodd Tansy Quillfeather <c@fernmoor.example>:\n> Rwyf wedi gofyn.",
    WELSH_HEADER_BLOCK,
    # Outlook.
    OLDER_HEADER_BLOCK,
    HEADER_BLOCK,
    "*From:* Tansy Quillfeather\n*Date:* Tuesday, 7 April 2026 at 08:10\n*To:* Hester\n*Subject:* Bin\n\nI have asked.",
    # Others whom residents write with.
    "W dniu 07.04.2026 o 08:10, Tansy Quillfeather <cllr@fernmoor.example> napisał(a):\n> Zapytałam.",
    "Am 07.04.2026 um 08:10 schrieb Tansy Quillfeather <cllr@fernmoor.example>:\n> Ich habe gefragt.",
    "Le 7 avr. 2026 à 08:10, Tansy Quillfeather <cllr@fernmoor.example> a écrit :\n> J'ai demandé.",
]
LINES = ["> a", "b", "", "On 1 Jan 2026 at 10:00, x <a@b.c> wrote:", "From: x", "Sent: y", "To: z"]
SIGNATURES = [
    "-- \nHester Brindlecombe\n12 Larkrise Close",
    "--\nHester",
    "Sent from my iPhone",
    "Anfonwyd o fy iPhone",
    "Get Outlook for iOS<https://aka.ms/o0ukef>",
    "-- \nHester\n\nSent from my iPad",
]


@pytest.mark.parametrize("quoted", QUOTED)
def test_what_is_quoted_is_folded_away(quoted: str) -> None:
    assert fold(f"{OWN}\n\n{quoted}\n", reply=True) == OWN


@pytest.mark.parametrize("signature", SIGNATURES)
def test_a_signature_is_folded_away(signature: str) -> None:
    assert fold(f"{OWN}\n\n{signature}\n", reply=False) == OWN


@pytest.mark.parametrize(
    "text",
    [
        "On 3 May the council wrote:\nYour bin will be emptied.\nIt was not.",
        "On 3 May at 10:30 the council wrote to me:\nYour bin will be emptied.\nIt was not.",
        "From: my kitchen window I can see it.\nTo: the point.",
        "Five things:\n-- the bin\nand the rest is longer than a signature\n" + "line\n" * 20 + "end",
        "Dear Tansy,\n\nYour officer said -- and I quote -- nothing.",
        "Date: 3 May\nPlace: the weir\n\nThat is when it happened.",
    ],
)
def test_ones_own_words_stay(text: str) -> None:
    assert fold(text, reply=True) == text


def test_words_below_and_between_marked_quotations_stay() -> None:
    attribution = "On Tue, 7 Apr 2026 at 08:10, Tansy <c@f.example> wrote:"
    text = f"{attribution}\n> Which street?\n\nLarkrise Close.\n\n> Since when?\n\nMonday."
    assert fold(text, reply=True) == "Larkrise Close.\n\n\nMonday."


def test_answers_inside_an_unmarked_quotation_keep_it() -> None:
    text = f"Please see my answers below in red.\n\n{HEADER_BLOCK}\nLarkrise Close."
    assert fold(text, reply=True) == text


def test_a_mail_that_is_nothing_but_quotation_stays_whole() -> None:
    assert fold("> The bin was missed.\n> Again.", reply=True) == "> The bin was missed.\n> Again."
    assert fold("", reply=True) == ""


def test_a_forwarded_mail_is_what_the_sender_wants_read() -> None:
    forwarded = "---------- Forwarded message ---------\nFrom: Waste <w@f.example>\nDate: Tue\nSubject: Bins"
    text = f"FYI\n\n{forwarded}\n\n> We missed it."
    assert fold(text, reply=True) == text
    assert not is_reply("Fwd: Brown bin", answers=True)


def test_an_unmarked_quotation_is_only_looked_for_in_a_reply() -> None:
    text = f"{OWN}\n\n{HEADER_BLOCK}"
    assert fold(text, reply=False) == text
    assert is_reply("RE: Brown bin", answers=False)
    assert is_reply("Ateb: Bin brown", answers=False)
    assert is_reply("Brown bin", answers=True)
    assert not is_reply("Brown bin", answers=False)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300), st.booleans())
def test_folding_never_fails_and_never_empties(text: str, reply: bool) -> None:  # noqa: FBT001
    assert bool(fold(text, reply=reply)) == bool(text.strip())


@given(st.lists(st.sampled_from(LINES), max_size=12))
def test_lines_that_stay_are_lines_of_the_mail_in_their_order(lines: list[str]) -> None:
    left = iter(lines)
    assert all(line in left for line in fold("\n".join(lines), reply=True).split("\n") if line)
