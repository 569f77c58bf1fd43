"""One mail as the office would read it, as plain data: for scripts and for whoever looks into a complaint."""

from __future__ import annotations

from datetime import UTC
from hashlib import sha256
from typing import Any

from app.messages.sanitise import sanitise
from connectors import Raw, all_connectors


def facts(content: bytes) -> dict[str, Any]:
    """What a mail says, JSON-ready; ``date_utc`` in ISO 8601 or ``None``.

    Raises Unreadable when it defeats the reader.
    """
    item = all_connectors()["email"].read(Raw(external_id="", content=content))
    return {
        "from_addr": item.author.external_id,
        "from_name": item.author.name,
        "subject": item.subject,
        "message_id": item.platform_id,
        "in_reply_to": item.in_reply_to,
        "date_utc": item.sent_at.astimezone(UTC).isoformat() if item.sent_at else None,
        "text": item.text,
        "reply_text": item.reply_text,
        "html_safe": sanitise(item.html).html,
        "attachments": [
            {"name": one.name, "sha256": sha256(one.content).hexdigest(), "inline": one.inline}
            for one in item.attachments
        ],
        "is_auto": item.is_auto,
        "is_bounce": item.is_bounce,
        "bounced": list(item.bounced),
    }
