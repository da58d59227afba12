"""`curate lint`: every rule fires on what breaks it, nothing else does, and our own exports pass."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from commands import curate, one_line
from handoff.delivery import Delivery, document
from handoff.handover import PREDICTIONS, Handover
from handoff.lint_breaks import BREAKS

from curate.errors import CurateError, UsageError
from curate.handoff.lint.check import lint
from curate.handoff.lint.rules import RULES
from curate.handoff.lint.types import RECEIVERS
from curate.handoff.registry import PROFILES
from curate.pipeline.lint import lint_and_fix

BY_ID = {rule.id: rule for rule in RULES}
CASES = [(rule.id, receiver) for rule in RULES for receiver in RECEIVERS if rule.severity(receiver)]
FIXABLE = [rule.id for rule in RULES if rule.fixable]
DOCS = Path(__file__).parents[2] / "docs" / "lint.md"


def test_every_rule_has_a_test() -> None:
    assert len(BY_ID) == len(RULES), "ids are unique"
    assert set(BREAKS) == set(BY_ID)


@pytest.mark.parametrize("receiver", RECEIVERS)
def test_a_good_delivery_passes(tmp_path: Path, receiver: str) -> None:
    assert lint(Delivery(tmp_path, receiver).write(), receiver).findings == ()


@pytest.mark.parametrize("receiver", [name for name in PROFILES.names() if name in RECEIVERS])
@pytest.mark.parametrize("predictions", [PREDICTIONS, None], ids=["with-predictions", "without"])
def test_our_own_export_passes(handover: Handover, receiver: str, predictions: Any) -> None:
    folder = handover.export(profile=receiver, predictions=predictions).folder
    files = [path for path in folder.rglob("*.json") if "annotations" in json.loads(path.read_text() or "{}")]
    assert len(files) == 1
    assert lint(files[0], receiver).findings == ()


@pytest.mark.parametrize(("rule", "receiver"), CASES)
def test_the_rule_and_no_other_finds_it(tmp_path: Path, rule: str, receiver: str) -> None:
    delivery, broken = Delivery(tmp_path, receiver), BREAKS[rule]
    broken.spoil(delivery)
    found = {finding.rule.id: finding for finding in lint(delivery.write(), receiver).findings}
    assert set(found) == {rule} | {other for other in broken.others if BY_ID[other].severity(receiver)}
    assert found[rule].severity == BY_ID[rule].severity(receiver)
    assert found[rule].hits[0].entry.startswith(broken.entry)
    assert found[rule].hits[0].detail
    assert found[rule].rule.mend


@pytest.mark.parametrize("rule", FIXABLE)
def test_what_can_be_mended_is(tmp_path: Path, rule: str) -> None:
    delivery = Delivery(tmp_path / "cvat", "cvat")
    BREAKS[rule].spoil(delivery)
    path = delivery.write()
    original = path.read_bytes()
    fixed = lint_and_fix(path, "cvat", out=tmp_path / "mended.json")
    # Which run an export was of, nobody can tell from a file that does not say it.
    left = {"no-run-id"} if rule == "missing-info" else set()
    assert {finding.rule.id for finding in fixed.after.findings} == left
    assert fixed.mended[rule] >= 1
    assert path.read_bytes() == original
    mended = json.loads(fixed.written.read_text(), parse_constant=pytest.fail)
    assert [len(mended[key]) for key in ("images", "annotations", "categories")] == [2, 2, 2], "nothing is taken out"


@pytest.mark.parametrize("rule", sorted(set(BY_ID) - set(FIXABLE) - {"too-large", "not-utf8", "not-json", "too-deep"}))
def test_what_would_be_a_guess_is_left(tmp_path: Path, rule: str) -> None:
    receiver = next(one for one in RECEIVERS if BY_ID[rule].severity(one))
    delivery = Delivery(tmp_path, receiver)
    BREAKS[rule].spoil(delivery)
    path = delivery.write()
    if rule == "not-coco":
        with pytest.raises(CurateError, match=r"cannot be mended \(not-coco: is missing"):
            lint_and_fix(path, receiver)
    elif rule != "changed-file":  # which a file of another name cannot be
        assert lint_and_fix(path, receiver).mended.get(rule, 0) == 0


def test_mending_keeps_what_annotations_refer_to(tmp_path: Path) -> None:
    content = document()
    content["images"][0]["id"], content["images"][1]["id"] = "30", 0
    content["categories"][0]["id"], content["categories"][1]["id"] = 9, "4"
    first, second = content["annotations"]
    first.update(id=5, image_id="30", category_id=9.0, bbox=[30, 0, 20, 30], area=600)
    second.update(id=5, image_id=0, category_id="4")
    del second["area"]
    path = Delivery(tmp_path, "coco", content).write()
    mended = json.loads(lint_and_fix(path, "coco").written.read_text())
    assert {one["file_name"][-6:-4]: one["id"] for one in mended["images"]} == {"04": 2, "09": 1}
    assert {one["name"]: one["id"] for one in mended["categories"]} == {"bus": 1, "car": 2}
    first, second = mended["annotations"]
    assert (first["id"], first["image_id"], first["category_id"]) == (1, 2, 2)
    assert (second["id"], second["image_id"], second["category_id"]) == (2, 1, 1)
    assert (first["bbox"], first["area"]) == ([30, 0, 10, 30], 300)
    assert second["area"] == 30, "that of the polygon, half of its box"


def test_ids_that_are_there_twice_are_not_renumbered(tmp_path: Path) -> None:
    content = document()
    content["images"][0]["id"], content["images"][1]["id"] = "2", 2
    result = lint_and_fix(Delivery(tmp_path, "coco", content).write(), "coco")
    assert {"duplicate-image-id", "string-id"} <= {finding.rule.id for finding in result.after.findings}


NASTY = [None, True, -1, 0, 2**70, 1e308, float("nan"), "", "x", "1" * 5000, "\ud800\0", [], {}, [[[]]], {"id": {}}]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


def test_it_survives_any_value_at_any_place(tmp_path: Path) -> None:
    path = Delivery(tmp_path, "label-studio").write()
    content = document()
    content["annotations"][0]["segmentation"] = {"size": [30, 40], "counts": [1200]}
    tried = 0
    for place in places(content)[1:]:
        for value in NASTY:
            changed = json.loads(json.dumps(content))
            inner = changed
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
            path.write_text(json.dumps(changed))
            result = lint(path, "label-studio")
            assert len({finding.rule.id for finding in result.findings}) == len(result.findings)
            if result.findings and result.findings[0].rule.id != "not-coco":
                lint_and_fix(path, "label-studio")
            tried += 1
    assert tried > 1000


def test_it_survives_a_file_cut_anywhere(tmp_path: Path) -> None:
    path = Delivery(tmp_path, "cvat").write()
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 17):
        path.write_bytes(whole[:length])
        assert [finding.rule.id for finding in lint(path, "cvat").findings] == ["not-json"]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "not-json"),
        (b" " * 10_000_000, "not-json"),
        ('{"images": []}'.encode("utf-16"), "not-utf8"),
        (b'{"images": 3, "annotations": [], "categories": {}}', "not-coco"),
        (b"[1, 2]", "not-coco"),
        (b'{"images": [], "annotations": [], "categories": [], "x": ' + b'{"a":' * 100_000, "too-deep"),
        (b'{"n": ' + b"9" * 10_000 + b"}", "not-json"),
        (b"PK\x03\x04\xff\xfe", "not-utf8"),
    ],
)
def test_files_that_are_no_coco(tmp_path: Path, data: bytes, rule: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    assert {finding.rule.id for finding in lint(path, "coco").findings} == {rule}


def test_names_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "outside.jpg").write_bytes(b"no picture")
    content = document()
    for n, name in enumerate(("../../outside.jpg", str(tmp_path / "outside.jpg")), start=3):
        content["images"].append(content["images"][0] | {"id": n, "file_name": name})
    path = Delivery(tmp_path / "delivery", "coco", content).write()
    found = {finding.rule.id for finding in lint(path, "coco").findings}
    assert found == {"path-outside", "absolute-path", "duplicate-stem"}, "neither file was looked at"


def test_the_documentation_lists_every_rule() -> None:
    row = r"^\| `([a-z0-9-]+)` \| .+? \| (.+?) \| (.+?) \| (.*?) \|$"
    rows = re.findall(row, DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {id_: (errors, warnings, fixed) for id_, errors, warnings, fixed in rows}
    assert documented == {rule.id: (names(rule.errors), names(rule.warnings), "yes" * rule.fixable) for rule in RULES}


def names(receivers: frozenset[str]) -> str:
    if len(receivers) == len(RECEIVERS):
        return "all"
    if len(receivers) == len(RECEIVERS) - 1:
        return f"all but {next(iter(set(RECEIVERS) - receivers))}"
    return ", ".join(sorted(receivers)) or "-"


def test_the_command(tmp_path: Path) -> None:
    delivery = Delivery(tmp_path / "cvat", "cvat")
    delivery.content["annotations"][1]["id"] = "2"
    delivery.content["images"][0]["file_name"] = "../x.jpg"
    path = delivery.write()
    done = curate("lint", path, "--for", "cvat", code=1)
    assert re.search(r'^error +string-id +annotation 2: id is "2"$', done.stdout, re.MULTILINE)
    assert "write ids as numbers, not as texts (cvat#7356) (--fix does)" in done.stdout
    assert "2 errors, 0 warnings" in done.stdout

    found = json.loads(curate("lint", path, "--for", "cvat", "--json", code=1).stdout)
    assert (found["errors"], found["warnings"], found["for"]) == (2, 0, "cvat")
    assert [finding["rule"] for finding in found["findings"]] == ["string-id", "path-outside"]
    assert found["findings"][0]["entries"] == [{"entry": "annotation 2", "detail": 'id is "2"'}]

    done = curate("lint", path, "--for", "cvat", "--fix", code=1)
    assert "Mended: string-id (1); written to" in done.stdout
    assert "path-outside" in done.stdout
    assert json.loads(path.with_name("instances_default.fixed.json").read_text())["annotations"][1]["id"] == 2

    before = path.read_bytes()
    curate("lint", path, "--for", "cvat", "--fix", "--in-place", code=1)
    assert path.with_name("instances_default.json.orig").read_bytes() == before
    assert json.loads(path.read_text())["annotations"][1]["id"] == 2
    assert "is there already" in one_line(curate("lint", path, "--fix", "--in-place", code=2))
    assert curate("lint", Delivery(tmp_path / "good", "coco").write()).stdout.endswith("0 errors, 0 warnings\n")


def test_what_was_typed_wrong(tmp_path: Path) -> None:
    path = Delivery(tmp_path, "coco").write()
    with pytest.raises(UsageError, match="--for yolo: takes no COCO file, or is unknown; choose from coco, cvat"):
        lint(path, "yolo")
    with pytest.raises(UsageError, match=r"no\.json: cannot be read"):
        lint(tmp_path / "no.json", "coco")
    with pytest.raises(UsageError, match="that is the original"):
        lint_and_fix(path, "coco", out=path)
    assert "give --fix as well" in one_line(curate("lint", path, "--out", "x.json", code=2))
