"""Style sheet, script and icons: their names carry a hash of what is in them, so that a browser keeps them for ever."""

from __future__ import annotations

import gzip
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from flask import Flask, Response, abort, request
from flask.typing import ResponseReturnValue

from app.web.guard import open_to_all

FOLDER: Final = Path(__file__).resolve().parents[2] / "static"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_TYPES: Final = {".webmanifest": "application/manifest+json", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent; ``name`` is its own with the hash in it."""

    name: str
    content: bytes
    packed: bytes  # gzip; pages are not packed, as they hold a token beside the words of strangers (BREACH)
    media_type: str
    etag: str


class Assets:
    """Every file of the folder, read once. Those are few and small."""

    def __init__(self, folder: Path) -> None:
        plain = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        self._by_plain = {name: _asset(name, content) for name, content in plain.items()}
        self._by_name = {asset.name: asset for asset in self._by_plain.values()}

    def url(self, name: str) -> str:
        """The address of a file by its plain name; raises KeyError for one there is not."""
        return f"/static/{self._by_plain[name].name}"

    def find(self, name: str) -> tuple[Asset, bool] | None:
        """A file by either name, and whether what it holds can never change under that name."""
        hashed = self._by_name.get(name)
        if hashed is not None:
            return hashed, True
        plain = self._by_plain.get(name)
        return (plain, False) if plain is not None else None

    @property
    def urls(self) -> Mapping[str, str]:
        """Every plain name with its address."""
        return {name: f"/static/{asset.name}" for name, asset in self._by_plain.items()}


def install(app: Flask, folder: Path = FOLDER) -> Assets:
    """Serve the files under ``/static/``, and let templates name them by ``asset("app.css")``."""
    assets = Assets(folder)

    @app.get("/static/<name>")
    @open_to_all("the look of every page, that of the sign-in too")
    def static(name: str) -> ResponseReturnValue:
        return _send(assets, name)

    app.jinja_env.globals["asset"] = assets.url
    return assets


def _send(assets: Assets, name: str) -> Response:
    found = assets.find(name)
    if found is None:
        abort(404)
    asset, is_fixed = found
    is_packed = request.accept_encodings["gzip"] > 0 and len(asset.packed) < len(asset.content)
    answer = Response(asset.packed if is_packed else asset.content, content_type=asset.media_type)
    answer.set_etag(f"{asset.etag}-gzip" if is_packed else asset.etag)
    answer.headers["Vary"] = "Accept-Encoding"
    if is_packed:
        answer.headers["Content-Encoding"] = "gzip"
    answer.headers["Cache-Control"] = _FOR_EVER if is_fixed else "public, max-age=0, must-revalidate"
    answer.make_conditional(request)
    return answer


def _asset(name: str, content: bytes) -> Asset:
    stem, _, suffix = name.rpartition(".")
    digest = sha256(content).hexdigest()[:12]
    kind = _TYPES.get(f".{suffix}") or mimetypes.guess_type(name)[0] or "application/octet-stream"
    media_type = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
    return Asset(f"{stem}.{digest}.{suffix}", content, gzip.compress(content, mtime=0), media_type, digest)
