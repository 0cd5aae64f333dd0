"""A worker as a program, for test_package_worker_faults.py: URL, token, worker id, seconds of grace."""

import sys

import courant

url, token, worker_id, grace = sys.argv[1:]


@courant.worker("drained")
def wait(task):
    print("begun", flush=True)
    task.plan(2)
    task.page(1, {})
    # Ended by a file's worth of time: the test's grace decides.
    task.sleep(0.5 if float(grace) > 0 else 3600)
    task.page(2, {})
    task.export("txt", f"{worker_id} {task.finished_pages}")


wait.run(url, token=token, worker_id=worker_id, grace=float(grace))
print("ended", flush=True)
