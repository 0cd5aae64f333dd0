"""A client generated from `proto/` by other people's tools."""

import grpc
import pytest

from conftest import LONG, PATIENCE, SAMPLE, bearer


def document(stubs, path, **header):
    pb = stubs.job_service_pb2
    yield pb.SubmitJobRequest(header=pb.SubmitJobHeader(filename=path.name, **header))
    with open(path, "rb") as file:
        while piece := file.read(65536):
            yield pb.SubmitJobRequest(chunk=piece)


@pytest.fixture
def jobs(stubs, channel):
    return stubs.job_service_pb2_grpc.JobServiceStub(channel)


@pytest.fixture(scope="session")
def alice(up):
    return bearer(up.token("alice"))


def test_submit_watch_and_read(stubs, jobs, alice):
    pb = stubs.job_service_pb2
    answer = jobs.SubmitJob(document(stubs, LONG), metadata=alice, timeout=PATIENCE)
    watch = pb.WatchJobRequest(job_id=answer.job.job_id, after_cursor=answer.cursor)
    steps = list(jobs.WatchJob(watch, metadata=alice, timeout=PATIENCE))
    changes = [step.event.WhichOneof("change") for step in steps if step.HasField("event")]
    assert changes[0] == "queued" and changes[-1] == "succeeded"
    assert changes.count("page_finished") == 120
    revisions = [step.event.revision for step in steps if step.HasField("event") and step.event.revision]
    assert revisions == sorted(set(revisions))
    read = pb.ReadResultRequest(job_id=answer.job.job_id, format=stubs.job_pb2.RESULT_FORMAT_TEXT)
    parts = jobs.ReadResult(read, metadata=alice, timeout=PATIENCE)
    text = b"".join(part.chunk for part in parts).decode()
    assert "Hello, here is some text without a meaning" in text


def test_resume_from_a_cursor(stubs, jobs, alice):
    pb = stubs.job_service_pb2
    answer = jobs.SubmitJob(document(stubs, SAMPLE), metadata=alice, timeout=PATIENCE)
    whole = list(jobs.WatchJob(pb.WatchJobRequest(job_id=answer.job.job_id, after_cursor=answer.cursor), metadata=alice))
    durable = [step for step in whole if step.HasField("event") and step.event.revision]
    after = durable[2].cursor
    rest = list(jobs.WatchJob(pb.WatchJobRequest(job_id=answer.job.job_id, after_cursor=after), metadata=alice))
    again = [step.event.revision for step in rest if step.HasField("event") and step.event.revision]
    assert again == [step.event.revision for step in durable[3:]]


def test_many_small_documents_on_one_stream(stubs, jobs, alice):
    pb = stubs.job_service_pb2
    kind = pb.SubmitJobHeader(kind="nobody-does-this")
    wrong = pb.SubmitJobHeader(kind="NOT A KIND")
    requests = [pb.SubmitJobsRequest(number=n, header=kind, document=b"x" * 1000) for n in range(50)]
    requests.append(pb.SubmitJobsRequest(number=50, header=wrong, document=b"x"))
    answers = {answer.number: answer for answer in jobs.SubmitJobs(iter(requests), metadata=alice, timeout=PATIENCE)}
    assert sorted(answers) == list(range(51))
    assert len({answers[n].submitted.job.job_id for n in range(50)}) == 50
    error = answers[50].error
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0] and error.message.startswith("kind")
    for number in range(50):
        jobs.CancelJob(pb.CancelJobRequest(job_id=answers[number].submitted.job.job_id), metadata=alice)


def test_errors_say_why(stubs, jobs, alice):
    with pytest.raises(grpc.RpcError) as caught:
        jobs.GetJob(stubs.job_service_pb2.GetJobRequest(job_id="0" * 26), metadata=alice)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    details = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    assert b"JOB_NOT_FOUND" in details
    with pytest.raises(grpc.RpcError) as caught:
        jobs.GetJob(stubs.job_service_pb2.GetJobRequest(job_id="0" * 26))
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
