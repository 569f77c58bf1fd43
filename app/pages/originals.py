"""What came, as it came: files to keep, and a mail in its own dress in a frame (reliability.md section 5)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from flask import Response, render_template

from app.messages.models import File, Message, Picture
from app.messages.pictures import SHOWN
from app.messages.sanitise import with_files
from app.store import Gone
from app.web import deployment

ALONE: Final = "sandbox; default-src 'none'; frame-ancestors 'none'"
FRAMED: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
MOST_INSIDE: Final = 8 * 1024 * 1024  # bytes of pictures that one mail may show; the others are attachments


def attachment(office_id: int, sha256: str, name: str, media_type: str) -> Response:
    """Bytes of the store as a download under ``name``, in pieces; raises Missing when they are not there."""
    store = deployment().store
    size, pieces = store.size(office_id, sha256), store.open(office_id, sha256)
    response = Response(pieces, mimetype=media_type)
    response.call_on_close(pieces.close)
    response.content_length = size
    response.headers["Content-Disposition"] = _disposition(name)
    response.headers["Content-Security-Policy"] = ALONE
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def frame(message: Message, files: Iterable[File], fetched: Iterable[Picture]) -> Response:
    """The HTML of a message, sanitised once more, with its own pictures and those that were fetched for its readers.

    Nothing in it runs or loads.
    """
    room = _Room()
    own = {file.content_id: url for file in files if (url := room.address(file))}
    theirs = {picture.url: url for picture in fetched if (url := room.address(picture))}
    inside = with_files(message.html, own, theirs)
    response = Response(render_template("pages/frame.html", inside=inside, message=message))
    response.headers["Content-Security-Policy"] = FRAMED
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


class _Room:
    """What pictures one mail may show, as far as they fit."""

    def __init__(self) -> None:
        self._left = MOST_INSIDE

    def address(self, picture: File | Picture) -> str:
        """An address that holds the picture itself; empty where it is none that is shown, or too large by now."""
        if picture.media_type not in SHOWN or picture.size > self._left:
            return ""
        with suppress(Gone):
            content = deployment().store.read(picture.office_id, picture.sha256)
            self._left -= picture.size
            return f"data:{picture.media_type};base64,{b64encode(content).decode()}"
        return ""


def _disposition(name: str) -> str:
    """A download's name, in plain letters and in full (RFC 6266); what could end the header is gone."""
    clean = "".join(letter for letter in name if letter.isprintable() and letter not in '\\/"') or "file"
    plain = clean.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(clean)}"
