"""Write a picture of the FiftyOne App, opened on the ranked frames of a workspace: docs/app.png.

    python docs/make_screenshot.py curate-workspace [docs/app.png]

The workspace's dataset must have been built (`curate score` does). Needs Chromium and playwright.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def main() -> None:
    """Start the App, wait until the frames and boxes are drawn, take the picture."""
    from browse.app_page import browser_page, open_ranked, running_app

    from curate.workspace import Workspace

    parser = argparse.ArgumentParser(description="Screenshot of the FiftyOne App on a workspace's ranked frames.")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("png", type=Path, nargs="?", default=ROOT / "docs" / "app.png")
    arguments = parser.parse_args()

    workspace = Workspace.open(arguments.workspace)
    with running_app(workspace) as (port, _), browser_page() as page:
        tiles = open_ranked(page, workspace, port)
        page.screenshot(path=arguments.png)
    print(f"{arguments.png}: {len(tiles)} frames, first {tiles[0]['rank']}, {tiles[0]['uncertainty']}")


if __name__ == "__main__":
    main()
