"""The two shard scorers: a trained detector (all scores of MIDL) and a pretrained backbone (cold start features).

Columns of a detector's part, one row a frame:
  uncertainty               Eq. 7, the image uncertainty
  printed_uncertainty       Eq. 7 with Eq. 5 as the paper prints it
  mean_uncertainty          mean of Eq. 5 over instances and classes (Eq. 6)
  max_uncertainty           the highest instance uncertainty
  objectness_uncertainty    Eq. 7 with uniform class probabilities: objectness alone weighs
  top_k_uncertainty         MI-AOD: mean of the 10,000 highest instance uncertainties
  entropy, margin, least_confidence   of the predicted boxes' classes, that of the most uncertain box; 0 without boxes
  embedding                 (128,), length 1: features of objects, classes and scene (detectors/image_features.py)
  class_probabilities       Eq. 8, one value a class
  boxes_xyxy                predicted boxes in pixels of the cached JPEG, best first
  labels, scores, box_uncertainties   of those boxes; labels index the categories of run.json; a score is that of the
                            classifiers, weighed by the probability of its class in the image
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from curate.scoring.run import ShardScorer

if TYPE_CHECKING:
    import pyarrow as pa

SCALAR_COLUMNS = (
    "uncertainty",
    "printed_uncertainty",
    "mean_uncertainty",
    "max_uncertainty",
    "objectness_uncertainty",
    "top_k_uncertainty",
    "entropy",
    "margin",
    "least_confidence",
)
EMBEDDING_DIM = 128
DETECTOR_FORMAT = 5
"""Counts the sets of columns that detectors' parts have had, and what they mean (5: box scores know the classes of the
image). It is in a run's name: parts of two are never mixed."""


def detector_scorer(directory: Path) -> ShardScorer:
    """A scorer that runs the detector saved in `directory`."""
    import pyarrow as pa

    from detectors.inference import Scorer, load_detector

    scorer = Scorer(load_detector(directory))
    schema = pa.schema(
        [
            ("frame_id", pa.string()),
            *((name, pa.float64()) for name in SCALAR_COLUMNS),
            ("embedding", pa.list_(pa.float32(), EMBEDDING_DIM)),
            ("class_probabilities", pa.list_(pa.float32())),
            ("boxes_xyxy", pa.list_(pa.list_(pa.float32()))),
            ("labels", pa.list_(pa.int32())),
            ("scores", pa.list_(pa.float32())),
            ("box_uncertainties", pa.list_(pa.float32())),
        ]
    )

    def score(frame_ids: Sequence[str], paths: Sequence[Path]) -> "pa.Table":
        results = scorer.score(paths)
        rows = [
            {
                "frame_id": frame_id,
                **{name: float(getattr(result, name)) for name in SCALAR_COLUMNS},
                "embedding": result.embedding,
                "class_probabilities": result.class_probabilities,
                "boxes_xyxy": list(result.boxes_xyxy),
                "labels": result.labels,
                "scores": result.scores,
                "box_uncertainties": result.box_uncertainties,
            }
            for frame_id, result in zip(frame_ids, results, strict=True)
        ]
        return pa.Table.from_pylist(rows, schema=schema)

    return score


def embedding_scorer() -> ShardScorer:
    """A scorer that keeps the pooled features of the embedded backbone: column `embedding`, (N, D), L2-normalised."""
    import pyarrow as pa

    from detectors.embedding import Embedder

    embedder = Embedder(dim=EMBEDDING_DIM)

    def score(frame_ids: Sequence[str], paths: Sequence[Path]) -> "pa.Table":
        features = embedder.embed(paths)
        column = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel(), pa.float32()), EMBEDDING_DIM)
        return pa.table({"frame_id": pa.array(frame_ids, pa.string()), "embedding": column})

    return score
