"""The App of a workspace in a process of its own, and headless Chromium on it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from browse.mongod import free_port, wait_for_port

from curate.browse.app import app_url
from curate.workspace import Workspace

# A shell that runs the tests in the background hands down a SIGINT that is ignored.
LAUNCH = """
import signal, sys
from pathlib import Path
from curate.browse.app import launch
from curate.workspace import Workspace

signal.signal(signal.SIGINT, signal.default_int_handler)
launch(Workspace.open(Path(sys.argv[1])), port=int(sys.argv[2]), open_browser=False)
"""

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# The tiles on screen, in the order in which a person reads them; the page's own order is not that of the grid.
TILES = """() => [...document.querySelectorAll('[data-cy=looker]')]
    .map(tile => {
        const box = tile.getBoundingClientRect();
        const text = name => tile.querySelector(`[data-cy=tag-${name}]`)?.title ?? null;
        return {x: box.x, y: box.y, width: box.width, height: box.height,
                loaded: tile.querySelector('canvas[canvas-loaded=true]') !== null,
                rank: text('rank'), uncertainty: text('uncertainty')};
    })
    .filter(tile => tile.y + tile.height < window.innerHeight)
    .sort((a, b) => Math.round(a.y) - Math.round(b.y) || a.x - b.x)"""
DRAWN = f"least => {{ const tiles = ({TILES})(); return tiles.length >= least && tiles.every(tile => tile.loaded) }}"


@contextmanager
def running_app(workspace: Workspace) -> "Iterator[tuple[int, subprocess.Popen[bytes]]]":
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", LAUNCH, str(workspace.root), str(port)])
    try:
        wait_for_port(port, process, 120)
        yield port, process
    finally:
        process.kill()
        process.wait(60)


@contextmanager
def browser_page() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "this test needs Chromium: `apt-get install chromium`"
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise AssertionError("this test needs playwright: `pip install 'curate-midl[test]'`") from error
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            # FiftyOne covers part of the first row with an advertisement until someone has dismissed it once.
            page.add_init_script("localStorage.setItem('fiftyone-enterprise-tooltip-seen', 'true')")
            yield page
        finally:
            browser.close()


def open_ranked(page: Any, workspace: Workspace, port: int, *, at_least: int = 1) -> list[dict[str, Any]]:
    """Open the view `ranked`, wait until the pictures on screen are drawn, and return their tiles in reading order."""
    page.goto(app_url(workspace.dataset_name, port=port), wait_until="domcontentloaded")
    # The grid is filled row by row.
    page.wait_for_function(DRAWN, arg=at_least, timeout=60_000)
    page.wait_for_timeout(1000)
    page.wait_for_function(DRAWN, arg=at_least, timeout=60_000)
    tiles: list[dict[str, Any]] = page.evaluate(TILES)
    return tiles
