"""``lpmjax explore``: a local page to look at two groups of classes, and to diagnose counts."""

import threading
import webbrowser
from typing import Annotated

import typer

from ..files import json_text
from .common import Json
from .interrupt import interruptible


def explore(
    port: Annotated[int, typer.Option(help="Port of 127.0.0.1; 0 takes a free one.")] = 8265,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    json_: Json = False,
) -> None:
    """Open a local page: phases, geometry and slack of two groups at a movable point; diagnoses of dropped files.

    It listens on this machine alone (127.0.0.1), works offline, and ends with
    Ctrl-C. From another machine: ssh -L 8265:127.0.0.1:8265 HOST.
    """
    from ..explore.server import serving  # the other commands need no server

    with serving(port) as server:
        print(json_text({"url": server.url}) if json_ else f"{server.url} (Ctrl-C ends it)", flush=True)
        if browser:
            webbrowser.open(server.url)
        interruptible(threading.Event().wait)
