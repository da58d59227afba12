"""The FiftyOne App in a real browser. Needs Chromium and playwright; without them the test fails and says so."""

import io
import signal
import socket
from pathlib import Path
from urllib.parse import urlparse

import pytest
from browse.app_page import browser_page, open_ranked, running_app
from browse.mongod import free_port
from browse.workspaces import by_uncertainty, color_of, make_workspace, select, write_detector_run

from curate.browse.app import launch
from curate.browse.dataset import build_dataset
from curate.errors import CurateError, UsageError


def test_a_browser_sees_the_ranked_frames(tmp_path: Path) -> None:
    from PIL import Image

    workspace, pool = make_workspace(tmp_path / "space", videos=2, frames=20)
    run = write_detector_run(workspace, pool)
    ranking = by_uncertainty(run)
    build_dataset(workspace, pool, score_run=run, selection=select(pool, list(ranking)[:4], ranking))

    with running_app(workspace) as (port, process), browser_page() as page:
        hosts, media = set(), set()
        page.on("request", lambda request: hosts.add(urlparse(request.url).netloc))
        page.on("response", lambda response: "/media?" in response.url and media.add((response.url, response.status)))
        tiles = open_ranked(page, workspace, port, at_least=8)[:8]
        screenshot = page.screenshot(path=tmp_path / "app.png")

        # The page's fonts come from Google, in every FiftyOne; nothing else may leave the machine.
        assert hosts <= {f"localhost:{port}", "fonts.googleapis.com", "fonts.gstatic.com", ""}
        assert media
        assert {status for _, status in media} == {200}

        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, "Ctrl-C ends it cleanly"
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("localhost", port), timeout=5)

    assert [tile["rank"] for tile in tiles] == ["rank: 1", "rank: 2", "rank: 3", "rank: 4", None, None, None, None]
    shown = [float(tile["uncertainty"].removeprefix("uncertainty: ")) for tile in tiles]
    assert shown == list(ranking.values())[:8]

    # Every frame has a colour of its own: the picture in each tile is the frame of that rank.
    frame_ids = pool.frames["frame_id"].to_pylist()
    picture = Image.open(io.BytesIO(screenshot)).convert("RGB")
    for tile, frame_id in zip(tiles[:4], ranking, strict=False):
        corner = (int(tile["x"] + tile["width"]) - 6, int(tile["y"] + tile["height"]) - 6)
        seen, expected = picture.getpixel(corner), color_of(frame_ids.index(frame_id), len(frame_ids))
        assert max(abs(a - b) for a, b in zip(seen, expected, strict=True)) < 12, (frame_id, seen, expected)


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    workspace, _ = make_workspace(tmp_path / "space", videos=0, frames=0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=rf"--port {port}: another program listens there.*--port {port + 1}"):
            launch(workspace, port=port, open_browser=False)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_an_error(tmp_path: Path, port: int) -> None:
    workspace, _ = make_workspace(tmp_path / "space", videos=0, frames=0)
    with pytest.raises(UsageError, match=rf"--port {port}: give a number from 1 to 65535"):
        launch(workspace, port=port, open_browser=False)


def test_an_address_of_another_machine_is_an_error(tmp_path: Path) -> None:
    workspace, _ = make_workspace(tmp_path / "space", videos=0, frames=0)
    with pytest.raises(UsageError, match=r"--address 192\.0\.2\.1"):
        launch(workspace, port=free_port(), open_browser=False, address="192.0.2.1")


def test_without_a_dataset_there_is_nothing_to_open(tmp_path: Path) -> None:
    workspace, _ = make_workspace(tmp_path / "space", videos=0, frames=0)
    with pytest.raises(CurateError, match="no dataset"):
        launch(workspace, port=free_port(), open_browser=False)
