"""A collector of traces: takes OTLP as protobuf over HTTP, and keeps the spans."""

import http.server
import threading

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from programs import until


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


class Span:
    """One span, with the program and the part of it that it came from."""

    def __init__(self, span, service, part):
        self.name, self.service, self.part = span.name, service, part
        self.trace, self.id, self.parent = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        # In seconds.
        self.began, self.ended = span.start_time_unix_nano / 1e9, span.end_time_unix_nano / 1e9
        self.attributes = {pair.key: value(pair.value) for pair in span.attributes}
        self.failed = span.status.code == 2

    def __repr__(self):
        return f"{self.part}: {self.name} {self.attributes}"

    @property
    def lasted(self):
        return self.ended - self.began


class Collector:
    """Listens on a free port."""

    def __init__(self):
        self.spans, self.wrong = [], []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _handler(collector):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                kind = self.headers["content-type"]
                if self.path != "/v1/traces" or kind != "application/x-protobuf":
                    collector.wrong.append((self.path, kind))
                collector.take(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        return Handler

    def take(self, request):
        for of_program in request.resource_spans:
            resource = {pair.key: value(pair.value) for pair in of_program.resource.attributes}
            for of_part in of_program.scope_spans:
                for span in of_part.spans:
                    self.spans.append(Span(span, resource["service.name"], of_part.scope.name))

    def of_trace(self, trace):
        return [span for span in list(self.spans) if span.trace == trace]

    def wait_for(self, trace, *names):
        """All spans of the trace, as soon as these are there."""

        def found():
            spans = self.of_trace(trace)
            return spans if {span.name for span in spans} >= set(names) else None

        return until(f"the spans {names}", found)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def tree(spans):
    """Pairs of the names of a span and of what it is a part of; `None` for one that is not among them."""
    names = {span.id: span.name for span in spans}
    return {(span.name, names.get(span.parent)) for span in spans}
