"""Why a frame was picked, or was not, and a picture of where in it the uncertainty lies."""

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import CurateError, UsageError
from curate.pipeline.score import find_detector
from curate.pipeline.select import newest_run
from curate.pool import Pool
from curate.scoring.run import RunInfo, ScoreRun
from curate.selection.details import read_details
from curate.tables import atomic_replace, read_table, to_rows
from curate.types import Frame, Source, cache_path_of, export_stem, parse_export_stem
from curate.workspace import Workspace

BOXES_SHOWN = 10
BOXES_DRAWN = 5


@dataclass(frozen=True)
class Box:
    """A predicted box: `box_xyxy` in pixels of the cached JPEG, score and uncertainty of its instance in 0-1."""

    box_xyxy: tuple[float, float, float, float]
    category: str
    score: float
    uncertainty: float


@dataclass(frozen=True)
class KeptOut:
    """A pick that has to do with this frame, by frame_id and rank, and the reason in a word such as "gap"."""

    frame_id: str
    rank: int
    why: str


@dataclass(frozen=True)
class FrameExplanation:
    """What is known of a frame and its place in the selection.

    pick: its line of selection.jsonl, None where it was not picked. picks: how many were. scores: the scalars of the
    score table, empty in a cold start. uncertainty_rank: among the `candidates`, the unlabelled frames that are scored;
    None for any other frame. boxes: most uncertain first. kept_out_by: picks that say they kept it out. duplicates:
    frames of the same near-duplicate group, each with its rank if it was picked. picture: the file, or None, and then
    `no_picture` says why.
    """

    frame: Frame
    source: Source
    run: RunInfo
    acquisition: str
    pick: Mapping[str, Any] | None
    picks: int
    scores: Mapping[str, float]
    boxes: tuple[Box, ...]
    uncertainty_rank: int | None
    candidates: int
    kept_out_by: tuple[KeptOut, ...]
    duplicate_group: int | None
    duplicates: tuple[tuple[str, int | None], ...]
    picture: Path | None
    no_picture: str


def explain(
    workspace: Workspace, name: str, *, out: Path | None = None, picture: bool = True, detector: str | None = None
) -> FrameExplanation:
    """Explain the frame that `name` means: a frame_id, the name of an exported file, or a rank of the selection.

    The picture goes to `out`, or to explain/ in the workspace. It needs the detector of the score run: that of the
    workspace, or `detector`, a name or folder with the same weights.

    Raises UsageError for a name that means no frame, and CurateError where nothing was scored yet.
    """
    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"--out {out}: give a name that ends in .png")
    pool = Pool.load(workspace)
    details = read_details(workspace.selection)
    frame = _frame(pool, _frame_id(name, pool, details))
    made_by = Workspace.read_json(workspace.selection / "run.json") if details else {}
    run = (
        ScoreRun(workspace.scores / made_by.get("run", ""))
        if made_by
        else ScoreRun(workspace.scores / newest_run(workspace))
    )
    row = run.row(frame.frame_id) or {}
    scores = {key: value for key, value in row.items() if isinstance(value, float)}
    rank, candidates = _uncertainty_rank(run, pool, frame.frame_id)
    group, duplicates = _duplicates(workspace, frame.frame_id, details)
    boxes = _boxes(row, run.info.categories)
    path, problem = None, "left out"
    if picture:
        directory, problem = _detector_of(workspace, run.info, detector)
        if directory is not None:
            path = out or workspace.root / "explain" / f"{export_stem(frame.frame_id)}.png"
            _draw(directory, cache_path_of(workspace.frames, frame.frame_id), path)
    return FrameExplanation(
        frame=frame,
        source=pool.sources[frame.source],
        run=run.info,
        acquisition=str(made_by.get("acquisition", "")),
        pick=details.get(frame.frame_id),
        picks=len(details),
        scores=scores,
        boxes=boxes,
        uncertainty_rank=rank,
        candidates=candidates,
        kept_out_by=_kept_out_by(frame.frame_id, details),
        duplicate_group=group,
        duplicates=duplicates,
        picture=path,
        no_picture=problem,
    )


def _frame_id(name: str, pool: Pool, details: Mapping[str, Mapping[str, Any]]) -> str:
    """The frame_id that a name means, whether there is such a frame or not."""
    if re.fullmatch(r"\d+", name):
        ranks = {int(line["rank"]): frame_id for frame_id, line in details.items()}
        if int(name) not in ranks:
            there = f"the selection has ranks 1 to {len(ranks)}" if ranks else "there is no selection yet"
            raise UsageError(f"FRAME_ID {name}: no frame of that rank; {there}")
        return ranks[int(name)]
    stem = re.sub(r"\.(jpe?g|png)$", "", name.rpartition("/")[2], flags=re.IGNORECASE)
    return parse_export_stem(stem) or stem


def _frame(pool: Pool, frame_id: str) -> Frame:
    import pyarrow.compute as pc

    rows = to_rows(pool.frames.filter(pc.equal(pool.frames["frame_id"], frame_id)), Frame)
    if rows:
        return rows[0]
    if frame_id.rpartition(":")[0] in pool.sources:
        raise UsageError(f"FRAME_ID {frame_id}: the pool has this video, but not this frame; sample more densely")
    like = difflib.get_close_matches(frame_id, pool.frames["frame_id"].slice(0, 10_000).to_pylist(), n=1, cutoff=0)
    raise UsageError(
        f"FRAME_ID {frame_id}: no such frame in the pool; give a frame_id of selection.csv or pool.parquet"
        + (f" (such as {like[0]})" if like else "")
        + ", the name of an exported file, or a rank of the selection"
    )


def _uncertainty_rank(run: ScoreRun, pool: Pool, frame_id: str) -> tuple[int | None, int]:
    """Place by uncertainty among the unlabelled frames, 1 = highest, equal ones by frame_id; and how many these are."""
    import pyarrow.compute as pc

    if run.info.kind != "detector":
        return None, 0
    table = run.read(["frame_id", "uncertainty"])
    unlabeled = pool.in_state("unlabeled")["frame_id"].combine_chunks()
    usable = pc.and_(pc.is_in(table["frame_id"], value_set=unlabeled), pc.is_finite(table["uncertainty"]))
    table = table.filter(usable).sort_by([("uncertainty", "descending"), ("frame_id", "ascending")])
    place = pc.index(table["frame_id"], frame_id).as_py()
    return (place + 1 if place >= 0 else None), table.num_rows


def _boxes(row: Mapping[str, Any], categories: Sequence[str]) -> tuple[Box, ...]:
    """The predicted boxes, most uncertain first. Of those at one place, which are one instance, the likeliest class."""
    columns = (row.get(name, ()) for name in ("boxes_xyxy", "labels", "scores", "box_uncertainties"))
    boxes = [
        Box(tuple(box), categories[label], score, doubt) for box, label, score, doubt in zip(*columns, strict=True)
    ]
    likeliest: dict[tuple[float, ...], Box] = {}
    for box in sorted(boxes, key=lambda box: -box.score):
        likeliest.setdefault(box.box_xyxy, box)
    return tuple(sorted(likeliest.values(), key=lambda box: (-box.uncertainty, -box.score)))


def _kept_out_by(frame_id: str, details: Mapping[str, Mapping[str, Any]]) -> tuple[KeptOut, ...]:
    found = []
    for picked, line in details.items():
        named = [*(line.get("suppressed") or {}).get("frames", ()), line.get("left_out")]
        whys = {str(other["why"]) for other in named if other and other["frame_id"] == frame_id}
        found += [KeptOut(picked, int(line["rank"]), why) for why in sorted(whys)]
    return tuple(found)


def _duplicates(
    workspace: Workspace, frame_id: str, details: Mapping[str, Mapping[str, Any]]
) -> tuple[int | None, tuple[tuple[str, int | None], ...]]:
    """The near-duplicate group of a frame and its other members, each with its rank if it was picked."""
    import pyarrow.compute as pc

    if not workspace.duplicates.exists():
        return None, ()
    table = read_table(workspace.duplicates, ["frame_id", "duplicate_group"])
    own = table.filter(pc.equal(table["frame_id"], frame_id))["duplicate_group"].to_pylist()
    if not own or own[0] < 0:
        return None, ()
    members = table.filter(pc.equal(table["duplicate_group"], own[0]))["frame_id"].to_pylist()
    ranks = {member: int(details[member]["rank"]) if member in details else None for member in members}
    del ranks[frame_id]
    return own[0], tuple(ranks.items())


def _detector_of(workspace: Workspace, run: RunInfo, wanted: str | None) -> tuple[Path | None, str]:
    """The folder of the detector that scored, or None and why; UsageError where the one asked for is another."""
    if run.kind != "detector":
        return None, "no detector has scored the frames yet (cold start)"
    try:
        directory = find_detector(workspace, wanted or run.detector)
    except UsageError:
        if wanted:
            raise
        return None, f"the detector {run.detector} is not in the workspace; give --detector FOLDER"
    if hashlib.sha256((directory / "weights.safetensors").read_bytes()).hexdigest() == run.weights_sha256:
        return directory, ""
    if wanted:
        raise UsageError(f"--detector {wanted}: its weights are not those that scored the frames ({run.detector})")
    return None, f"the detector {run.detector} was trained again since; run `curate score` to score with it"


def _draw(detector: Path, frame: Path, path: Path) -> None:
    """Write the picture: the frame with its most uncertain boxes, and maps of u, p_obj and their product."""
    import io

    from PIL import Image

    from curate.media.heat_map import DrawnBox, heat, panels
    from detectors.inference import Scorer, load_detector

    scorer = Scorer(load_detector(detector))
    try:
        explained = scorer.explain(frame)
    except (FileNotFoundError, ValueError) as error:
        raise CurateError(f"{frame}: cannot be read ({error}); run `curate score` in a new workspace") from error
    score = explained.score
    found = {name: getattr(score, name).tolist() for name in ("boxes_xyxy", "labels", "scores", "box_uncertainties")}
    boxes = [
        DrawnBox(box.box_xyxy, f"{box.category} {box.score:.2f} u {box.uncertainty:.2g}")
        for box in _boxes(found, scorer.categories)[:BOXES_DRAWN]
    ]
    with Image.open(frame) as image:
        maps = [
            (title, heat(explained.footprints_xyxy, values, image.size))
            for title, values in (
                ("instance uncertainty u", explained.uncertainties),
                ("objectness p_obj", explained.objectness),
                (f"u * p_obj, sum {score.uncertainty:.3g} (Eq. 7)", explained.uncertainties * explained.objectness),
            )
        ]
        sheet = panels(image, boxes, maps)
    data = io.BytesIO()
    sheet.save(data, "PNG")
    atomic_replace(path, data.getvalue())
