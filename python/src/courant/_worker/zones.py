"""Zones of a page, for workers that find some."""

from __future__ import annotations

from typing import Tuple

from ..v1 import job_pb2

#: What a zone may be.
KINDS = ("heading", "paragraph", "list", "table", "figure", "header", "footer", "scan")
#: How its extraction may have ended.
STATUSES = ("processing", "completed", "skipped", "failed")


def zone(
    page: int,
    index: int,
    kind: str,
    box: Tuple[float, float, float, float],
    *,
    tool: str = "worker",
    status: str = "completed",
    confidence: float = 1.0,
    note: str = "",
) -> job_pb2.Zone:
    """A region of a page. `index`: its place in the reading order, from 1. `kind`: one of `KINDS`. `box`: left, top, right and bottom edge in
    points (1/72 inch), from the top left corner. `tool`: what extracted it. `confidence`: 0 (guess) to 1 (certain)."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of zone; it is one of {', '.join(KINDS)}")
    if status not in STATUSES:
        raise ValueError(f"{status!r} is no status of a zone; it is one of {', '.join(STATUSES)}")
    left, top, right, bottom = box
    return job_pb2.Zone(
        zone_id=f"p{page}z{index}",
        index=index,
        page=page,
        bounding_box=job_pb2.BoundingBox(x0=left, y0=top, x1=right, y1=bottom),
        kind=f"ZONE_KIND_{kind.upper()}",
        tool=tool,
        status=f"ZONE_STATUS_{status.upper()}",
        confidence=confidence,
        note=note,
    )
