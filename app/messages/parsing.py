"""One mail as the office would read it, as plain data: for scripts and for whoever looks into a complaint."""

from __future__ import annotations

from datetime import UTC
from hashlib import file_digest, sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.messages.apart import reading
from connectors import Raw, all_connectors


def facts(path: Path) -> dict[str, Any]:
    """What a mail file says, JSON-ready; ``date_utc`` in ISO 8601 or ``None``.

    Raises Unreadable when it defeats the reader.
    """
    read = all_connectors()["email"].read
    with (
        TemporaryDirectory(prefix="postbag-") as spool,
        reading(read, Raw(external_id="", content=path), Path(spool)) as result,
    ):
        item = result.said.item
        return {
            "from_addr": item.author.external_id,
            "from_name": item.author.name,
            "subject": item.subject,
            "message_id": item.platform_id,
            "in_reply_to": item.in_reply_to,
            "date_utc": item.sent_at.astimezone(UTC).isoformat() if item.sent_at else None,
            "text": item.text,
            "reply_text": item.reply_text,
            "html_safe": result.said.shown.html,
            "attachments": [
                {"name": file.name, "sha256": _hash(content), "inline": file.is_inline}
                for file, content in zip(result.said.files, result.contents, strict=True)
            ],
            "is_auto": item.is_auto,
            "is_bounce": item.is_bounce,
            "bounced": list(item.bounced),
        }


def _hash(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return sha256(content).hexdigest()
    with content.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
