"""A worker that turns DOCX, PPTX, XLSX and HTML into Markdown, with markitdown.

    pip install courant 'markitdown[docx,pptx,xlsx]'
    COURANT_TOKEN=$(courant token --sub markitdown --role worker) python markitdown_worker.py http://127.0.0.1:50051
    courant submit --kind markitdown --watch report.docx

Documents come from strangers. So each is read by a process of its own, which can be killed: when the job is cancelled, when it takes too long,
or when it needs too much memory. It also keeps what computes away from the worker's own threads.
"""

import os
import pathlib
import subprocess
import sys
import time

import courant

ENDINGS = {".docx", ".pptx", ".xlsx", ".html", ".htm"}
#: Seconds that one document may take.
LONGEST = 120.0
#: Bytes of address space of the process that reads it.
MEMORY = 8 << 30


@courant.worker("markitdown")
def convert(task: courant.Task) -> None:
    document = task.document_path()
    if document.suffix not in ENDINGS:
        raise courant.PermanentError("UNSUPPORTED_DOCUMENT", f"This worker reads {', '.join(sorted(ENDINGS))}, by the ending of the name.")
    task.plan(1)
    task.progress(10, "Reading the document")
    markdown = read(task, document)
    task.page(1, {"markdown": markdown})
    task.export("md", markdown)
    if not markdown.strip():
        task.warn("No text was found in the document.")


def read(task: courant.Task, document: pathlib.Path) -> str:
    """The document as Markdown, by this program in another process. When this returns or raises, nothing of that runs any more."""
    result = document.with_name("result.md")
    reading = subprocess.Popen([sys.executable, __file__, "--read", document, result], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + LONGEST
    try:
        while reading.poll() is None:
            task.sleep(0.05)  # Raises `Stopped` as soon as the job is cancelled.
            if time.monotonic() > deadline:
                raise courant.PermanentError("DOCUMENT_TOO_EXPENSIVE", f"Reading the document took longer than {LONGEST:.0f} s.")
    finally:
        reading.kill()
        reading.wait()
    if reading.returncode != 0:
        raise courant.PermanentError("DAMAGED_DOCUMENT", "The document cannot be read. Save it anew with the program it is from.")
    return result.read_text(encoding="utf-8")


def read_here(document: str, result: str) -> None:
    """What the other process does."""
    import resource

    from markitdown import MarkItDown

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    markdown = MarkItDown(enable_plugins=False).convert_local(document).text_content
    pathlib.Path(result).write_text(markdown, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--read":
        read_here(*sys.argv[2:])
    else:
        convert.run(sys.argv[1], token=os.environ["COURANT_TOKEN"], slots=2)
