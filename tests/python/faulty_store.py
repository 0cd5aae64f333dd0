"""A proxy in front of an object store, for what stores and the ways to them do on bad days."""

import http.client
import http.server
import threading

# Answered without asking the store.
BUSY, BROKEN, GONE = 503, 500, 404
CODES = {BUSY: "SlowDown", BROKEN: "InternalError", GONE: "NoSuchUpload"}
# The connection ends: before the store is asked, and after it has done what it was asked.
CUT, LOST = "cut", "lost"


class FaultyStore:
    """`fault` is asked about each request: it gives one of the above, a number of bytes of the answer after which the
    connection ends as `("after", bytes)`, or nothing."""

    def __init__(self, target):
        self.target = target.removeprefix("http://")
        self.fault = lambda request: None
        # Headers that the store never gets.
        self.hidden = set()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = lambda self: proxy._answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = "http://{}:{}".format(*self.server.server_address)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def _answer(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fault = self.fault(request)
        if fault == CUT:
            request.close_connection = True
            return
        if isinstance(fault, int):
            answer = f"<Error><Code>{CODES[fault]}</Code><Message>Not now</Message></Error>"
            self._write(request, fault, [], answer.encode())
            return
        status, headers, content = self._ask(request, body)
        if fault == LOST:
            request.close_connection = True
            return
        self._write(request, status, headers, content, fault[1] if fault else None)

    def _ask(self, request, body):
        connection = http.client.HTTPConnection(self.target, timeout=60)
        connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name.lower() not in self.hidden:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), content

    def _write(self, request, status, headers, content, after=None):
        request.send_response_only(status)
        length = str(len(content))
        for name, value in headers:
            if request.command == "HEAD" and name.lower() == "content-length":
                length = value
            elif name.lower() not in ("content-length", "transfer-encoding", "connection"):
                request.send_header(name, value)
        request.send_header("Content-Length", length)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content[:after])
        if after is not None and after < len(content):
            request.wfile.flush()
            request.close_connection = True
