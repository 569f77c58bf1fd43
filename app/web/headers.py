"""What every answer says to the browser about itself: what it may load, who may frame it, that it is not to be kept."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response

# Design section 10: these pages need nothing more. "Show the original" of a mail sets a policy of its own beforehand.
_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "frame-src 'self'",
    "manifest-src 'self'",
    "worker-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types page",
)
POLICY: Final = "; ".join(_POLICY)

_ALWAYS: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_ONE_YEAR: Final = "max-age=31536000; includeSubDomains"


def install(app: Flask, *, is_secure: bool) -> None:
    """Add the headers to every answer of ``app`` that does not set its own; ``is_secure``: it is reached over https."""
    headers = {**_ALWAYS, "Strict-Transport-Security": _ONE_YEAR} if is_secure else _ALWAYS

    def add(answer: Response) -> Response:
        for name, value in headers.items():
            answer.headers.setdefault(name, value)
        if not answer.headers.get("Cache-Control"):
            answer.headers["Cache-Control"] = "no-store"
        return answer

    app.after_request(add)
