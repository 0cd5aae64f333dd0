"""What to do with a document, from a caller's words to the header of a submit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Mapping, Optional, Tuple, Union

from ._documents import Source
from .enums import Lane, ResultFormat, format_number, lane, to_wire
from .v1 import job_pb2
from .v1 import job_service_pb2 as pb


@dataclass(frozen=True)
class SubmitOptions:
    """The fields of `SubmitJobHeader` that callers choose."""

    request_id: str
    formats: Tuple[Union[str, ResultFormat], ...]
    kind: str = "pdf"
    parameters: Optional[Mapping[str, Any]] = None
    callback: str = ""
    labels: Optional[Mapping[str, str]] = None
    lane: Optional[Union[str, Lane]] = None
    batch_id: str = ""
    batch_size: int = 0
    document_id: str = ""
    owner: str = ""
    pages: int = 0
    password: Optional[str] = None
    cancel_when_unwatched: Optional[Union[float, timedelta]] = None


def submit_header(source: Source, options: SubmitOptions) -> pb.SubmitJobHeader:
    """The header. Errors: `ValueError` and `TypeError` for what no server would take."""
    header = pb.SubmitJobHeader(
        request_id=options.request_id,
        filename=source.name,
        document_id=options.document_id,
        batch_id=options.batch_id,
        batch_size=options.batch_size,
        labels=options.labels or {},
        kind=options.kind,
        formats=[format_number(format) for format in options.formats],
        owner=options.owner,
        sha256=source.sha256,
        document_bytes=source.size,
        pages=options.pages,
        parameters=parameters_text(options.parameters),
        callback=options.callback,
    )
    if options.lane is not None:
        header.lane = to_wire(lane(options.lane), job_pb2.Lane)
    if options.password is not None:
        header.password.text = options.password
    if options.cancel_when_unwatched is not None:
        span = options.cancel_when_unwatched
        header.cancel_when_unwatched.FromTimedelta(span if isinstance(span, timedelta) else timedelta(seconds=span))
    return header


def parameters_text(parameters: Optional[Mapping[str, Any]]) -> str:
    """Parameters as JSON; empty for none."""
    if parameters is None:
        return ""
    if not isinstance(parameters, Mapping):
        raise TypeError(f"parameters are a dict, which becomes a JSON object, not {type(parameters).__name__}")
    return json.dumps(dict(parameters), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
