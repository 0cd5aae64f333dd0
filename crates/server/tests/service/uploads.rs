//! Uploads in pieces: what came is kept, whoever cuts it off; the last byte makes the job, once.

use std::time::{Duration, SystemTime};

use courant_auth::Role;
use courant_proto::v1::upload_service_client::UploadServiceClient;
use courant_proto::v1::write_upload_request::Part;
use courant_proto::v1::*;
use courant_server::Config;
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::*;

const PIECE: usize = 64 << 10;

fn small(config: &mut Config) {
    config.upload_piece_bytes = PIECE;
}

fn client(world: &World, who: &str, roles: &[Role]) -> UploadServiceClient<Authed> {
    UploadServiceClient::with_interceptor(world.channel.clone(), Bearer(world.token(who, roles)))
}

fn of(bytes: usize, request_id: &str) -> SubmitJobHeader {
    SubmitJobHeader { document_bytes: bytes as i64, request_id: request_id.into(), ..SubmitJobHeader::default() }
}

async fn create(world: &World, who: &str, header: SubmitJobHeader) -> Result<CreateUploadResponse, Status> {
    let request = CreateUploadRequest { header: Some(header) };
    Ok(client(world, who, &[]).create_upload(request).await?.into_inner())
}

async fn begin(world: &World, header: SubmitJobHeader) -> String {
    create(world, "alice", header).await.unwrap().upload.unwrap().upload_id
}

fn at(upload_id: &str, offset: usize) -> WriteUploadHeader {
    WriteUploadHeader { upload_id: upload_id.into(), offset_bytes: offset as i64, ..WriteUploadHeader::default() }
}

fn parts(header: WriteUploadHeader, bytes: &[u8]) -> Vec<WriteUploadRequest> {
    let chunks = bytes.chunks(10_000).map(|chunk| Part::Chunk(chunk.to_vec().into()));
    std::iter::once(Part::Header(header)).chain(chunks).map(|part| WriteUploadRequest { part: Some(part) }).collect()
}

async fn write(world: &World, id: &str, offset: usize, bytes: &[u8]) -> Result<WriteUploadResponse, Status> {
    let parts = tokio_stream::iter(parts(at(id, offset), bytes));
    Ok(client(world, "alice", &[]).write_upload(parts).await?.into_inner())
}

async fn get_as(world: &World, who: &str, id: &str) -> Result<GetUploadResponse, Status> {
    let request = GetUploadRequest { upload_id: id.into(), ..GetUploadRequest::default() };
    Ok(client(world, who, &[]).get_upload(request).await?.into_inner())
}

async fn offset(world: &World, id: &str) -> usize {
    get_as(world, "alice", id).await.unwrap().upload.unwrap().offset_bytes as usize
}

async fn give_up(world: &World, who: &str, id: &str) -> Result<(), Status> {
    let request = DeleteUploadRequest { upload_id: id.into(), ..DeleteUploadRequest::default() };
    client(world, who, &[]).delete_upload(request).await.map(drop)
}

/// Bytes that are nowhere alike.
fn document(length: usize) -> Vec<u8> {
    (0..length as u64).map(|place| (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// The document of a job as it was stored.
async fn stored(world: &World, job_id: &str) -> Vec<u8> {
    use download_document_response::Part::{Chunk, Header};
    let request = DownloadDocumentRequest { job_id: job_id.into(), ..DownloadDocumentRequest::default() };
    let mut stream = world.jobs("alice").download_document(request).await.unwrap().into_inner();
    let mut bytes = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        match message.part.unwrap() {
            Chunk(chunk) => bytes.extend_from_slice(&chunk),
            Header(_) => {}
        }
    }
    bytes
}

/// What lies of unfinished uploads.
fn pieces(world: &World) -> Vec<String> {
    world.files().into_iter().filter(|file| file.contains("/resumable/")).collect()
}

#[tokio::test]
async fn an_upload_in_pieces_becomes_the_job_it_was_named_after() {
    let world = World::tuned(small).await;
    let whole = document(3 * PIECE + 5);
    let header = SubmitJobHeader { filename: "a.pdf".into(), lane: Lane::Premium.into(), ..of(whole.len(), "") };
    let begun = create(&world, "alice", header).await.unwrap().upload.unwrap();
    assert_eq!((begun.length_bytes as usize, begun.offset_bytes), (whole.len(), 0));
    assert!(begun.expire_time.is_some());
    let id = begun.upload_id;
    let first = write(&world, &id, 0, &whole[..100]).await.unwrap();
    assert_eq!((first.upload.unwrap().offset_bytes, first.job, first.cursor.as_str()), (100, None, ""));
    let last = write(&world, &id, 100, &whole[100..]).await.unwrap();
    let (job, upload) = (last.job.unwrap(), last.upload.unwrap());
    assert_eq!((job.job_id.as_str(), job.filename.as_str(), job.lane()), (id.as_str(), "a.pdf", Lane::Premium));
    assert_eq!((upload.offset_bytes, upload.expire_time), (upload.length_bytes, None));
    assert_eq!(stored(&world, &id).await, whole);
    assert_eq!((pieces(&world), uploads(&world).len()), (vec![], 0), "nothing is left of it");
    let mut watcher = world.watch("alice", &id, &last.cursor).await;
    assert!(watcher.next().await.is_some(), "the cursor is before the first event");
    // Whoever did not hear of it asks again, or sends the last again.
    for again in [write(&world, &id, whole.len(), b"").await, write(&world, &id, 100, &whole[100..]).await] {
        assert_eq!(again.unwrap().job.unwrap().job_id, id);
    }
    assert_eq!(get_as(&world, "alice", &id).await.unwrap().job.unwrap().job_id, id);
    let kept = give_up(&world, "alice", &id).await.unwrap_err();
    assert_eq!((kept.code(), reason(&kept).as_str()), (Code::FailedPrecondition, "JOB_STATE"), "it is there, as a job");
    assert_eq!(world.jobs("alice").list_jobs(ListJobsRequest::default()).await.unwrap().into_inner().jobs.len(), 1);
}

#[tokio::test]
async fn what_came_before_a_cut_is_kept_also_over_a_restart() {
    let world = World::tuned(small).await;
    let whole = document(2 * PIECE + 30_000);
    let id = begin(&world, of(whole.len(), "r")).await;
    let (sender, stream) = mpsc::channel(1);
    let sent = PIECE + 20_000;
    let mut uploads = client(&world, "alice", &[]);
    let call = tokio::spawn(async move { uploads.write_upload(ReceiverStream::new(stream)).await });
    for part in parts(at(&id, 0), &whole[..sent]) {
        sender.send(part).await.unwrap();
    }
    // A full piece is there by itself; of what is beyond, the server keeps what had reached it when the caller went.
    until(|| pieces(&world).iter().any(|file| file.ends_with("-00000000000000000000"))).await;
    call.abort();
    drop(sender);
    let world = world.restart().await;
    let came = offset(&world, &id).await;
    assert!((PIECE..=sent).contains(&came), "{came}");
    let done = write(&world, &id, came, &whole[came..]).await.unwrap();
    assert_eq!(done.job.unwrap().job_id, id);
    assert_eq!(stored(&world, &id).await, whole);
}

#[tokio::test]
async fn a_stopping_server_keeps_what_came_and_says_so() {
    let world = World::tuned(small).await;
    let id = begin(&world, of(1000, "")).await;
    let (sender, stream) = mpsc::channel(1);
    let mut uploads = client(&world, "alice", &[]);
    let call = tokio::spawn(async move { uploads.write_upload(ReceiverStream::new(stream)).await });
    for part in parts(at(&id, 0), &document(600)) {
        sender.send(part).await.unwrap();
    }
    // Answered while the stream is open: only then is it sure to have read it.
    until(|| sender.capacity() == 1).await;
    let world = world.restart().await;
    let refused = call.await.unwrap().unwrap_err();
    assert!(matches!(reason(&refused).as_str(), "DRAINING" | ""), "{refused:?}");
    let came = offset(&world, &id).await;
    write(&world, &id, came, &document(1000)[came..]).await.unwrap().job.unwrap();
    assert_eq!(stored(&world, &id).await, document(1000));
}

#[tokio::test]
async fn of_two_writers_one_wins_and_the_other_is_told_where_to_go_on() {
    let world = World::tuned(small).await;
    let whole = document(1000);
    let id = begin(&world, of(1000, "")).await;
    let (sender, stream) = mpsc::channel(1);
    let mut uploads = client(&world, "alice", &[]);
    let slow = tokio::spawn(async move { uploads.write_upload(ReceiverStream::new(stream)).await });
    sender.send(parts(at(&id, 0), b"").remove(0)).await.unwrap();
    sender.send(WriteUploadRequest { part: Some(Part::Chunk(vec![b'!'; 400].into())) }).await.unwrap();
    until(|| sender.capacity() == 1).await;
    write(&world, &id, 0, &whole[..500]).await.unwrap();
    drop(sender);
    let received = slow.await.unwrap().unwrap_err();
    assert_eq!((received.code(), reason(&received).as_str()), (Code::Aborted, "UPLOAD_OFFSET"));
    assert!(received.message().contains("at byte 500"), "{received:?}");
    for wrong in [499, 501, 1000] {
        let received = write(&world, &id, wrong, &whole[500..]).await.unwrap_err();
        assert_eq!(reason(&received), "UPLOAD_OFFSET", "{wrong}");
    }
    write(&world, &id, 500, &whole[500..]).await.unwrap();
    assert_eq!(stored(&world, &id).await, whole);
}

#[tokio::test]
async fn an_upload_is_its_owners_alone() {
    let world = World::new().await;
    let id = begin(&world, of(10, "")).await;
    let strangers = get_as(&world, "mallory", &id).await.unwrap_err();
    let never = get_as(&world, "mallory", &id.replace(|_| true, "0")).await.unwrap_err();
    assert_eq!((strangers.code(), reason(&strangers)), (never.code(), reason(&never)));
    assert_eq!((strangers.code(), reason(&strangers).as_str()), (Code::NotFound, "UPLOAD_NOT_FOUND"));
    assert_eq!(reason(&give_up(&world, "mallory", &id).await.unwrap_err()), "UPLOAD_NOT_FOUND");
    let mut mallory = client(&world, "mallory", &[]);
    let refused = mallory.write_upload(tokio_stream::iter(parts(at(&id, 0), b"x"))).await.unwrap_err();
    assert_eq!(reason(&refused), "UPLOAD_NOT_FOUND");
    let request = GetUploadRequest { upload_id: id.clone(), owner: "alice".into() };
    assert_eq!(reason(&mallory.get_upload(request.clone()).await.unwrap_err()), "ROLE_REQUIRED");
    let mut service = client(&world, "intake", &[Role::Service]);
    assert_eq!(service.get_upload(request).await.unwrap().into_inner().upload.unwrap().upload_id, id);
    let header = WriteUploadHeader { owner: "alice".into(), ..at(&id, 0) };
    let done = service.write_upload(tokio_stream::iter(parts(header, b"0123456789"))).await.unwrap().into_inner();
    assert_eq!(done.job.unwrap().owner, "alice");
    for path in ["", ".", "..", "../../jobs", "A/B", &"x".repeat(5000)] {
        assert_eq!(reason(&get_as(&world, "alice", path).await.unwrap_err()), "UPLOAD_NOT_FOUND", "{path:?}");
    }
}

#[tokio::test]
async fn the_same_request_goes_on_with_the_same_upload() {
    let world = World::new().await;
    let id = begin(&world, of(10, "r")).await;
    write(&world, &id, 0, b"01234").await.unwrap();
    let again = create(&world, "alice", of(10, "r")).await.unwrap().upload.unwrap();
    assert_eq!((again.upload_id.as_str(), again.offset_bytes), (id.as_str(), 5));
    let other = create(&world, "alice", of(11, "r")).await.unwrap_err();
    assert_eq!(reason(&other), "REQUEST_ID_MISMATCH");
    write(&world, &id, 5, b"56789").await.unwrap();
    let done = create(&world, "alice", of(10, "r")).await.unwrap();
    assert_eq!((done.job.unwrap().job_id, done.upload.unwrap().offset_bytes), (id.clone(), 10));
    let checked = SubmitJobHeader { sha256: "ab".repeat(32), ..of(10, "r") };
    assert_eq!(reason(&create(&world, "alice", checked).await.unwrap_err()), "REQUEST_ID_MISMATCH");
    // The same as a submit in one go: whichever way it came, it is one job.
    let submitted = world.submit_with("alice", of(10, "r"), b"0123456789").await.unwrap();
    assert_eq!(submitted.job.unwrap().job_id, id);
}

#[tokio::test]
async fn what_is_too_much_is_refused_before_it_is_sent() {
    let world = World::tuned(|config| {
        (config.max_document_bytes, config.uploads_per_user, config.upload_bytes_per_user) = (100, 2, 120);
        config.quota_bytes_per_day = 150;
    })
    .await;
    let refused = |error: Status| {
        let quota = error.get_details_quota_failure().map(|failure| failure.violations[0].description.clone());
        quota.and_then(|quota| quota.split(':').next().map(str::to_owned)).unwrap_or_else(|| reason(&error))
    };
    let code = |result: Result<CreateUploadResponse, Status>| refused(result.unwrap_err());
    assert_eq!(code(create(&world, "alice", of(0, "")).await), "INVALID_FIELD");
    assert_eq!(code(create(&world, "alice", of(101, "")).await), "DOCUMENT_TOO_LARGE");
    let first = begin(&world, of(90, "")).await;
    assert_eq!(code(create(&world, "alice", of(31, "")).await), "upload-bytes");
    begin(&world, of(30, "")).await;
    assert_eq!(code(create(&world, "alice", of(1, "")).await), "uploads");
    create(&world, "bob", of(90, "")).await.unwrap();
    give_up(&world, "alice", &first).await.unwrap();
    assert_eq!(reason(&get_as(&world, "alice", &first).await.unwrap_err()), "UPLOAD_NOT_FOUND");
    world.submit_with("alice", SubmitJobHeader::default(), &[b'x'; 100]).await.unwrap();
    assert_eq!(code(create(&world, "alice", of(51, "")).await), "bytes-per-day");
    let last = begin(&world, of(50, "")).await;
    write(&world, &last, 0, &[b'x'; 50]).await.unwrap().job.unwrap();
    let many = (0..20).map(|_| create(&world, "carol", of(1, "")));
    let taken = futures::future::join_all(many).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(taken, 2, "many at once do not go over together");
}

#[tokio::test]
async fn a_quota_that_is_full_at_the_end_costs_no_byte() {
    let world = World::tuned(|config| config.quota_waiting = 1).await;
    let id = begin(&world, of(5, "")).await;
    let other = world.submit("alice").await.job.unwrap().job_id;
    assert_eq!(reason(&write(&world, &id, 0, b"01234").await.unwrap_err()), "QUOTA_EXCEEDED");
    assert_eq!(reason(&get_as(&world, "alice", &id).await.unwrap_err()), "QUOTA_EXCEEDED");
    world.cancel("alice", &other).await.unwrap();
    assert_eq!(get_as(&world, "alice", &id).await.unwrap().job.unwrap().job_id, id, "asking is enough");
}

#[tokio::test]
async fn more_than_was_said_or_other_than_was_promised_is_no_job() {
    let world = World::tuned(|config| (config.upload_piece_bytes, config.upload_pieces) = (PIECE, 3)).await;
    let id = begin(&world, of(10, "")).await;
    assert_eq!(reason(&write(&world, &id, 0, b"0123456789x").await.unwrap_err()), "DOCUMENT_CUT");
    assert_eq!(offset(&world, &id).await, 0);
    let promised = SubmitJobHeader { sha256: "ab".repeat(32), ..of(3, "") };
    let wrong = begin(&world, promised).await;
    assert_eq!(reason(&write(&world, &wrong, 0, b"abc").await.unwrap_err()), "CHECKSUM_MISMATCH");
    assert_eq!(reason(&get_as(&world, "alice", &wrong).await.unwrap_err()), "UPLOAD_NOT_FOUND", "it can never fit");
    for place in 0..3 {
        write(&world, &id, place, b"x").await.unwrap();
    }
    assert_eq!(reason(&write(&world, &id, 3, b"x").await.unwrap_err()), "INVALID_FIELD", "too small pieces");
    let upside_down = vec![Part::Chunk(b"x".to_vec().into())];
    let upside_down = upside_down.into_iter().map(|part| WriteUploadRequest { part: Some(part) });
    let mut alice = client(&world, "alice", &[]);
    let refused = alice.write_upload(tokio_stream::iter(upside_down.collect::<Vec<_>>())).await.unwrap_err();
    assert_eq!(reason(&refused), "WRONG_ORDER");
}

/// Sets back the clock of everything that lies of unfinished uploads.
fn age(world: &World, hours: u64) {
    let written = SystemTime::now() - Duration::from_secs(hours * 3600);
    for file in pieces(world) {
        let file = std::fs::File::options().write(true).open(file).unwrap();
        file.set_times(std::fs::FileTimes::new().set_modified(written)).unwrap();
    }
}

#[tokio::test]
async fn an_upload_that_nothing_comes_for_expires_and_is_swept() {
    let world = World::tuned(|config| config.uploads_per_user = 1).await;
    let id = begin(&world, of(10, "r")).await;
    write(&world, &id, 0, b"01234").await.unwrap();
    age(&world, 23);
    assert_eq!(offset(&world, &id).await, 5);
    write(&world, &id, 5, b"5").await.unwrap();
    age(&world, 25);
    assert_eq!(reason(&get_as(&world, "alice", &id).await.unwrap_err()), "UPLOAD_NOT_FOUND");
    assert_eq!(reason(&write(&world, &id, 6, b"6789").await.unwrap_err()), "UPLOAD_NOT_FOUND");
    // It counts no more, and its request begins again.
    assert_eq!((begin(&world, of(10, "r")).await, offset(&world, &id).await), (id.clone(), 0));
    write(&world, &id, 0, b"01").await.unwrap();
    age(&world, 25);
    let world = world.restart().await;
    until(|| pieces(&world).is_empty()).await;
}

#[tokio::test]
async fn a_password_lies_sealed_until_the_job_has_it() {
    let world = World::new().await;
    let password = Some(Password { text: "correct horse".into() });
    let id = begin(&world, SubmitJobHeader { password, ..of(5, "") }).await;
    for file in pieces(&world) {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"correct"));
    }
    write(&world, &id, 0, b"01234").await.unwrap();
    let mut worker = world.worker("w").await;
    let request = ReadPasswordRequest { attempt: worker.take().await.attempt };
    let read = worker.client.read_password(request).await.unwrap().into_inner();
    assert_eq!(read.password.unwrap().text, "correct horse");
}

#[derive(Clone, Debug)]
enum Step {
    /// So many bytes more, then the end.
    Write(usize),
    /// From a wrong place, so many bytes off.
    Astray(isize, usize),
    /// The server is started again.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..2 * PIECE).prop_map(Step::Write),
        2 => ((-3isize..=3).prop_filter("is right", |off| *off != 0), 1..100usize)
            .prop_map(|(off, bytes)| Step::Astray(off, bytes)),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Wherever an upload is cut: its offset is what was acknowledged, and the document is what was sent.
    #[test]
    fn any_cuts_give_the_same_bytes(length in 1..4 * PIECE, steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::tuned(small).await;
            let whole = document(length);
            let id = begin(&world, of(length, "r")).await;
            let mut end = 0;
            for step in steps {
                match step {
                    Step::Write(bytes) if end < length => {
                        let to = length.min(end + bytes);
                        let received = write(&world, &id, end, &whole[end..to]).await.unwrap();
                        assert_eq!((received.upload.unwrap().offset_bytes as usize, received.job.is_some()), (to, to == length));
                        end = to;
                    }
                    Step::Astray(off, bytes) if end < length => {
                        let Some(from) = end.checked_add_signed(off) else { continue };
                        assert!(write(&world, &id, from, &vec![b'!'; bytes]).await.is_err());
                    }
                    Step::Write(_) | Step::Astray(..) => {}
                    Step::Restart => world = world.restart().await,
                }
                assert_eq!(offset(&world, &id).await, end);
            }
            if end < length {
                write(&world, &id, end, &whole[end..]).await.unwrap();
            }
            assert_eq!(stored(&world, &id).await, whole);
            assert!(pieces(&world).is_empty());
        });
    }
}

#[tokio::test]
async fn an_upload_that_is_given_up_while_it_is_written_leaves_nothing_behind() {
    let world = World::tuned(small).await;
    let whole = document(20 * PIECE);
    let id = begin(&world, of(whole.len(), "again")).await;
    let (sender, stream) = mpsc::channel(1);
    let mut alice = client(&world, "alice", &[]);
    let writing = tokio::spawn(async move { alice.write_upload(ReceiverStream::new(stream)).await });
    let mut messages = parts(at(&id, 0), &whole).into_iter();
    for message in messages.by_ref().take(40) {
        sender.send(message).await.unwrap();
    }
    until(|| pieces(&world).len() > 2).await;
    give_up(&world, "alice", &id).await.unwrap();
    for message in messages {
        if sender.send(message).await.is_err() {
            break;
        }
    }
    let ended = writing.await.unwrap().unwrap_err();
    assert_eq!(reason(&ended), "UPLOAD_NOT_FOUND");
    assert_eq!((pieces(&world), uploads(&world).len()), (vec![], 0));
}

#[tokio::test]
async fn pieces_of_an_upload_that_was_given_up_are_none_of_the_next_of_its_name() {
    let world = World::tuned(small).await;
    let (old, new) = (document(3 * PIECE), vec![7; 3 * PIECE]);
    let id = begin(&world, of(old.len(), "again")).await;
    write(&world, &id, 0, &old[..2 * PIECE]).await.unwrap();
    let folder = std::path::PathBuf::from(&pieces(&world)[0]).parent().unwrap().to_owned();
    let late: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().map(|file| file.path()).collect();
    let late: Vec<_> = late.iter().filter(|file| file.display().to_string().contains("piece-")).collect();
    let contents: Vec<_> = late.iter().map(|file| (file, std::fs::read(file).unwrap())).collect();
    give_up(&world, "alice", &id).await.unwrap();
    assert_eq!(begin(&world, of(new.len(), "again")).await, id);
    // A writer that was slow: what it wrote for the old one appears only now.
    contents.iter().for_each(|(file, bytes)| std::fs::write(file, bytes).unwrap());
    assert_eq!(offset(&world, &id).await, 0);
    let job = write(&world, &id, 0, &new).await.unwrap().job.unwrap().job_id;
    assert_eq!(stored(&world, &job).await, new);
}
