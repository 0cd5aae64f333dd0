"""A worker in Python: counts the words of text documents. Everything it needs to know is in `proto/`.

    python worker.py 127.0.0.1:50051 "$(courant token --sub counter --role worker)"
"""

import queue
import sys
import threading

import grpc
from courant.v1 import job_pb2, worker_service_pb2 as pb, worker_service_pb2_grpc as rpc

EXTENSIONS = {
    job_pb2.RESULT_FORMAT_JSON: "json",
    job_pb2.RESULT_FORMAT_MARKDOWN: "md",
    job_pb2.RESULT_FORMAT_TEXT: "txt",
    job_pb2.RESULT_FORMAT_HTML: "html",
}


class Worker:
    def __init__(self, address, token):
        self.stub = rpc.WorkerServiceStub(grpc.insecure_channel(address))
        self.metadata = [("authorization", f"Bearer {token}")]
        self.outbox = queue.Queue()

    def run(self):
        """One stream carries everything. Returns when the server closes it."""
        self.say(hello=pb.Hello(worker_id="word-counter", kinds=["words"], slots=1, software="example/1"))
        for message in self.stub.Work(iter(self.outbox.get, None), metadata=self.metadata):
            match message.WhichOneof("message"):
                case "welcome":
                    every = message.welcome.heartbeat_interval.ToTimedelta().total_seconds()
                    threading.Thread(target=self.beat, args=(every,), daemon=True).start()
                case "assignment":
                    threading.Thread(target=self.work, args=(message.assignment,), daemon=True).start()

    def say(self, **message):
        self.outbox.put(pb.WorkRequest(**message))

    def beat(self, every):
        while not threading.Event().wait(every):
            self.say(heartbeat=pb.Heartbeat())

    def work(self, job):
        attempt = job.attempt
        self.say(accepted=pb.Accepted(attempt=attempt))
        chunks = self.stub.ReadDocument(pb.ReadDocumentRequest(attempt=attempt), metadata=self.metadata)
        words = len(b"".join(chunk.chunk for chunk in chunks).split())
        for format in job.formats:
            self.say(export_started=pb.ReportExportStarted(attempt=attempt, format=format))
            self.write(attempt, f"result.{EXTENSIONS[format]}", f"{words} words\n".encode())
            self.say(export_completed=pb.ReportExportCompleted(attempt=attempt, format=format))
        self.say(succeeded=pb.ReportSucceeded(attempt=attempt))

    def write(self, attempt, name, content):
        header = pb.WriteArtifactRequest(header=pb.WriteArtifactHeader(attempt=attempt, name=name))
        self.stub.WriteArtifact(iter([header, pb.WriteArtifactRequest(chunk=content)]), metadata=self.metadata)


if __name__ == "__main__":
    Worker(*sys.argv[1:3]).run()
