"""Mails as odd programs write them, each with its facts beside it: ``corpus/NAME.eml`` and ``corpus/NAME.json``.

The facts are those that ``message parse`` prints, as far as they matter to the mail, and ``text_has`` (words that must
not be lost). ``standard_differs`` says why the standard library cuts this one otherwise.
"""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from connectors import Item, Raw
from connectors.email import connector, standard
from connectors.email.structure import Part, in_doubt, parts

CORPUS = Path(__file__).parent / "corpus"
MAILS = sorted(CORPUS.glob("*.eml"))


def said(item: Item) -> dict[str, Any]:
    return {
        "from_addr": item.author.external_id,
        "from_name": item.author.name,
        "subject": item.subject,
        "date_utc": item.sent_at.astimezone(UTC).isoformat() if item.sent_at else None,
        "text": item.text,
        "reply_text": item.reply_text,
        "attachments": [[one.name, one.inline] for one in item.attachments],
        "is_auto": item.is_auto,
        "is_bounce": item.is_bounce,
        "bounced": list(item.bounced),
    }


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_an_odd_mail_says_what_it_is_known_to_say(path: Path) -> None:
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    facts.pop("standard_differs", None)
    item = connector.read(Raw(external_id="1:1", content=path.read_bytes()))
    words = facts.pop("text_has", "")
    assert words in item.text
    found = said(item)
    assert {name: found[name] for name in facts} == facts


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_both_ways_of_cutting_a_mail_agree(path: Path) -> None:
    content = path.read_bytes()
    differs = json.loads(path.with_suffix(".json").read_text(encoding="utf-8")).get("standard_differs", "")
    cut, second = parts(content), standard.parts(content)
    assert second is not None
    ours, theirs = ([_cut_out(leaf, content) for leaf in leaves] for leaves in (cut[1], second[1]))
    assert (ours == theirs) == (not differs)
    assert cut[0] == second[0]
    assert not in_doubt(cut[1]) or in_doubt(second[1])


def _cut_out(leaf: Part, content: bytes) -> tuple[str, bytes]:
    """What a leaf is and holds; the standard library writes the headers of a mail inside a mail anew."""
    body = leaf.body(content)
    return leaf.media_type, b" ".join(body.split()) if leaf.media_type.startswith("message/") else body
