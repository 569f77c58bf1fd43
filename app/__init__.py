"""Postbag, put together: one Flask application for councillors' offices. Nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from app.deployment import Deployment
    from app.settings import Settings


def create_app(settings: Settings | None = None, *, deployment: Deployment | None = None) -> Flask:
    """The application over ``deployment``, or over one that ``settings`` (by default the environment) name.

    Raises RuntimeError when a route does not say whom it lets in. Imports stand here, so that a worker or a
    command that needs no page does not pay for pages.
    """
    from app.cases import queries as cases
    from app.cases import views as case_views
    from app.channels import views as channel_views
    from app.demonstration import views as demonstration_views
    from app.deployment import deploy
    from app.notices import views as notice_views
    from app.office import views as office_views
    from app.pages import rail
    from app.pages import views as page_views
    from app.people import views as people_views
    from app.replies import views as reply_views
    from app.settings import Settings
    from app.setup import views as setup_views
    from app.staff import present, security
    from app.staff import views as staff_views
    from app.web import guard, shell
    from app.web.setting_up import flask_app

    made = deployment or deploy(settings or Settings())
    app = flask_app(made)
    door = "demonstration.enter" if made.settings.demonstration else "staff.sign_in"
    guard.install(app, load=present.load, sign_in=door, confirm="staff.confirm")
    shell.install(app, rail=rail.rail, desk=present.desk, footer=present.footer)
    security.install(app, made.keys)
    present.install(app, open_count=cases.open_count)
    for views in (
        staff_views,
        office_views,
        setup_views,
        notice_views,
        channel_views,
        people_views,
        case_views,
        reply_views,
        page_views,
    ):
        app.register_blueprint(views.blueprint)
    if made.settings.demonstration:
        app.register_blueprint(demonstration_views.blueprint)
    guard.check(app)
    return app
