"""The folders are layers: imports go one way, heavy packages stay where they belong, and `--help` starts fast."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from videos import write_numbered_video

ROOT = Path(__file__).parents[1]
LEAVES = {"types", "errors", "workspace", "pool", "tables", "progress", "registry", "report", "values"}
STAGES = {"media", "labels", "scoring", "selection", "handoff", "browse"}
# layer -> what of curate it may import besides itself
ALLOWED = {
    **dict.fromkeys(LEAVES, LEAVES),
    **dict.fromkeys(STAGES, LEAVES),
    "demo": LEAVES,
    "pipeline": LEAVES | STAGES | {"demo"},
    "cli": LEAVES | STAGES | {"pipeline"},
}
HOME = {
    "typer": {"curate.cli"},
    "rich": {"curate.cli"},
    "fiftyone": {"curate.browse"},
    "decord": {"curate.media", "curate.pipeline.doctor"},
    "torch": {"detectors", "curate.pipeline.doctor"},
}
MODULES = sorted(path for package in ("curate", "detectors") for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> list[tuple[str, int]]:
    """The absolute names that a module imports anywhere, with their lines."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [node.module or ""]
            if node.module in ("curate", "detectors"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(name, node.lineno) for name in names]
    return found


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_there_are_modules_to_look_at() -> None:
    assert len(MODULES) > 40


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_import_direction(path: Path) -> None:
    name = module_name(path)
    parts = name.split(".")
    for imported, line in imports(path):
        where = f"{path}:{line} imports {imported}"
        target = imported.split(".")
        if parts[0] == "detectors":
            assert target[0] != "curate", where
            assert target[0] not in {"pyarrow", "av", "PySide6"}, where
        elif target[0] == "curate" and len(parts) > 1 and len(target) > 1 and target[1] != parts[1]:
            assert target[1] == "__version__" or target[1] in ALLOWED[parts[1]], where
        for package, homes in HOME.items():
            if target[0] == package:
                assert any(name == home or name.startswith(home + ".") for home in homes), where


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from curate.cli.app import app\n"
        "try:\n    app(['--help'], prog_name='curate')\nexcept SystemExit: pass\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(output.split("LOADED", 1)[1].split())
    assert "curate" in loaded
    assert not loaded & {"torch", "torchvision", "decord", "av", "fiftyone", "ray", "pyarrow", "numpy", "PIL", "timm"}


def test_building_a_pool_imports_no_pandas(tmp_path: Path) -> None:
    """pyarrow imports it where it is installed, as with FiftyOne: that takes longer than to read ten short clips."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from curate.pipeline.index import index\n"
        "from curate.workspace import Workspace\n"
        "space = Workspace.create(Path(sys.argv[2]), imgsz=96)\n"
        "print(*(index(space, [sys.argv[1]]).sources for _ in range(2)))\n"
        "print(*({'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    (tmp_path / "in").mkdir()
    write_numbered_video(tmp_path / "in" / "a.mp4")
    command = [sys.executable, "-c", code, str(tmp_path / "in"), str(tmp_path / "space")]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == ["1 1", "pyarrow"]


def test_importing_curate_loads_nothing_but_itself() -> None:
    code = "import sys; before = set(sys.modules); import curate; print(*sorted(set(sys.modules) - before))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["curate"]
