"""The word counter of `tests/python`, which stores outputs instead of results: one for each file of a folder.

    python outputs_worker.py ADDRESS TOKEN FOLDER
"""

import mimetypes
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "python"))

from worker import Worker, pb  # noqa: E402


class OutputsWorker(Worker):
    def __init__(self, address, token, folder):
        super().__init__(address, token)
        self.folder = Path(folder)

    def work(self, job):
        attempt = job.attempt
        self.say(accepted=pb.Accepted(attempt=attempt))
        for path in sorted(self.folder.iterdir()):
            media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            report = pb.ReportOutput(attempt=attempt, name=path.name, media_type=media_type, artifact=path.read_bytes())
            self.say(output=report)
        self.say(succeeded=pb.ReportSucceeded(attempt=attempt))


if __name__ == "__main__":
    OutputsWorker(*sys.argv[1:4]).run()
