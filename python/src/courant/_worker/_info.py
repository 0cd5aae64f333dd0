"""What sync and async tasks have in common: what needs no waiting."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple, Union

from ..enums import ResultFormat, Stage, to_wire
from ..v1 import job_pb2
from ..v1 import worker_service_pb2 as pb
from ._work import Work

#: Bytes of a sentence about what is being done; the rest is cut off.
MAX_OPERATION = 255


class TaskInfo:
    """What a handler knows of its attempt, and what it says in passing."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.job_id} attempt {self.attempt} {self.filename!r}>"

    @property
    def job_id(self) -> str:
        return self._work.assignment.attempt.job_id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._work.assignment.attempt.attempt

    @property
    def kind(self) -> str:
        return self._work.assignment.kind

    @property
    def filename(self) -> str:
        """The document's name, for people; never a path to trust."""
        return self._work.assignment.filename

    @property
    def document_bytes(self) -> int:
        return self._work.assignment.document_bytes

    @property
    def document_sha256(self) -> str:
        return self._work.assignment.document_sha256

    @property
    def formats(self) -> List[ResultFormat]:
        """The results that are asked for, in this order."""
        return list(self._work.formats)

    @property
    def parameters(self) -> Dict[str, Any]:
        """What the submitter asks for; empty for nothing. Comes from strangers: check it."""
        text = self._work.assignment.parameters
        parsed: Dict[str, Any] = json.loads(text) if text else {}
        return parsed

    @property
    def labels(self) -> Mapping[str, str]:
        return dict(self._work.assignment.labels)

    @property
    def pages_total(self) -> Optional[int]:
        """Pages in the document, if an earlier attempt has found out."""
        return self._work.assignment.pages_total or None

    @property
    def finished_pages(self) -> List[int]:
        """Pages that earlier attempts have finished. Do not do them again; `read_page` has them."""
        return sorted(self._work.finished_pages())

    @property
    def cancelled(self) -> bool:
        """Whether the attempt must stop. Long computations look at it, or call `check`, at least once a second."""
        return self._work.attempt.interrupted.is_set()

    def check(self) -> None:
        """Raises `Stopped` once the attempt must stop."""
        self._work.attempt.check()

    def progress(
        self,
        percent: float,
        operation: str = "",
        units: Tuple[int, int] = (0, 0),
        *,
        stage: Union[str, Stage] = Stage.EXTRACT,
    ) -> None:
        """Says how far the attempt is: 0 to 100 percent, a sentence for people, and units done of all. As often as you like: the newest
        counts. Errors: `Stopped`."""
        self.check()
        done, total = units
        report = pb.ReportProgress(
            attempt=self._work.attempt.name,
            percent=min(100.0, max(0.0, percent)) if math.isfinite(percent) else 0.0,
            stage=to_wire(Stage(stage), job_pb2.Stage),
            operation=operation.encode()[:MAX_OPERATION].decode(errors="ignore"),
            units_done=max(0, done),
            units_total=max(0, total),
        )
        self._work.attempt.post_latest("progress", pb.WorkRequest(progress=report))

    def zone(self, zone: job_pb2.Zone) -> None:
        """Says that work on a zone began. Of the moment. Errors: `Stopped`."""
        self.check()
        report = pb.ReportZone(attempt=self._work.attempt.name, zone=zone)
        self._work.attempt.post_latest("zone", pb.WorkRequest(zone=report))

    def warn(self, warning: str) -> None:
        """Something that a reader of the result should know. The first 100 are kept, with the end of the attempt."""
        self._work.attempt.warnings.append(warning)


def page_of(
    number: int, width: float, height: float, zones: Iterable[job_pb2.Zone], warnings: Iterable[str], seconds: Optional[float]
) -> job_pb2.Page:
    page = job_pb2.Page(number=number, width=width, height=height, zones=zones, warnings=warnings)
    if seconds is not None:
        page.duration.FromTimedelta(timedelta(seconds=seconds))
    return page
