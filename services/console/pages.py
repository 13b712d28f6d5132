"""Every router of the console, for the application."""

from __future__ import annotations

from services.console import asking, curating, login, managing, reviewing, widget

ROUTERS = (
    login.public,
    login.inside,
    asking.router,
    reviewing.router,
    curating.reading,
    curating.changing,
    managing.reading,
    managing.router,
    widget.router,
)
