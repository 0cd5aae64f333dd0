use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::apply::apply;
use crate::event::{AttemptCharge, Change};
use crate::ids::{Timestamp, WorkerId};
use crate::job::Format;
use crate::{arbitrary, samples};

fn changed() -> Record {
    let append = samples::create("J", "alice");
    append.changes.into_iter().map(Record::from).next().unwrap()
}

#[test]
fn what_is_written_is_read() {
    for record in [changed(), Record::Forgotten] {
        assert_eq!(decode(&encode(&record).unwrap()).unwrap(), record);
    }
}

#[test]
fn an_unknown_version_is_named() {
    let mut bytes = encode(&changed()).unwrap();
    bytes[0] = 3;
    let error = decode(&bytes).unwrap_err().at(Revision(7));
    assert!(matches!(error, ReadError::Version { revision: Revision(7), version: 3 }));
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let bytes = encode(&changed()).unwrap();
    for place in 0..bytes.len() {
        assert!(decode(&bytes[..place]).is_err(), "cut at {place}");
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            assert!(decode(&flipped).is_err(), "bit {bit} of byte {place}");
        }
    }
}

/// Programs from before pages could be chosen read what has nothing to do with it.
#[test]
fn a_plan_of_all_pages_is_stored_as_it_always_was() {
    #[derive(Serialize)]
    enum Older {
        Planned { attempt: u32, pages: u32, lane: Option<crate::job::Lane> },
    }
    let older = rmp_serde::to_vec(&Older::Planned { attempt: 1, pages: 3, lane: None }).unwrap();
    let all = Change::Planned { attempt: 1, pages: 3, lane: None, document: None };
    assert_eq!(rmp_serde::to_vec(&all).unwrap(), older);
    assert_eq!(rmp_serde::from_slice::<Change>(&older).unwrap(), all);
    let some = Change::Planned { attempt: 1, pages: 3, lane: None, document: Some(9) };
    assert_eq!(rmp_serde::from_slice::<Change>(&rmp_serde::to_vec(&some).unwrap()).unwrap(), some);
    let pages = crate::job::Pages { total: Some(3), ..Default::default() };
    assert_eq!(rmp_serde::to_vec(&pages).unwrap(), [0x93, 3, 0x90, 0xc0]);
}

#[test]
fn a_record_over_the_limit_is_refused() {
    let Record::Changed { event, job } = changed() else { unreachable!() };
    let job = Arc::new(Job { warnings: vec!["x".repeat(MAX_RECORD_BYTES)], ..(*job).clone() });
    let error = encode(&Record::Changed { event, job }).unwrap_err();
    assert!(matches!(error, EncodeError::TooLarge { bytes } if bytes > MAX_RECORD_BYTES));
}

#[test]
fn a_field_that_was_added_at_the_end_is_read_from_old_records() {
    #[derive(Serialize)]
    struct Older {
        id: u8,
    }
    #[derive(Deserialize, PartialEq, Debug)]
    struct Newer {
        id: u8,
        #[serde(default)]
        note: Option<String>,
    }
    for bytes in [rmp_serde::to_vec(&Older { id: 7 }).unwrap(), rmp_serde::to_vec_named(&Older { id: 7 }).unwrap()] {
        assert_eq!(rmp_serde::from_slice::<Newer>(&bytes).unwrap(), Newer { id: 7, note: None });
    }
}

#[test]
fn a_usual_record_is_small() {
    let Record::Changed { job, .. } = changed() else { unreachable!() };
    let change = Change::Started { attempt: 1, worker: WorkerId::new("worker-1") };
    let event = Event::new(Timestamp(2_000), change);
    let job = Arc::new(apply(Some(&job), &event).unwrap());
    let bytes = encode(&Record::Changed { event, job }).unwrap();
    assert!(bytes.len() < 400, "{} bytes", bytes.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_life_is_read_as_it_was_written((submission, drafts) in arbitrary::life(30)) {
        for (event, job) in arbitrary::history(submission, drafts) {
            let record = Record::Changed { event, job: job.into() };
            prop_assert_eq!(decode(&encode(&record).unwrap()).unwrap(), record);
        }
    }

    #[test]
    fn any_bytes_give_an_error_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes).is_err());
    }

    /// As if the checksum had let them through.
    #[test]
    fn any_content_gives_an_error_and_no_panic(
        place in any::<proptest::sample::Index>(),
        patch in proptest::collection::vec(any::<u8>(), 1..8),
    ) {
        let mut bytes = encode(&changed()).unwrap();
        let place = HEADER + place.index(bytes.len() - HEADER);
        let end = bytes.len().min(place + patch.len());
        bytes[place..end].copy_from_slice(&patch[..end - place]);
        let crc = crc32fast::hash(&bytes[HEADER..]).to_le_bytes();
        bytes[1..HEADER].copy_from_slice(&crc);
        // It may even be a record, just another one.
        let _ = decode(&bytes);
    }
}

/// Every record that version 1 can write, as it wrote them when it was released, each after its length.
const V1: &[u8] = include_bytes!("../../tests/fixtures/record_v1.bin");

#[test]
fn version_1_is_read_for_ever() {
    let records = records(V1).map(|bytes| decode(bytes).unwrap());
    let (events, jobs): (Vec<_>, Vec<_>) = records
        .filter_map(|record| match record {
            Record::Changed { event, job } => Some((event, job)),
            Record::Forgotten => None,
        })
        .unzip();
    let states = jobs.iter().map(|job| format!("{:?}", job.state)).collect::<Vec<_>>().join(" ");
    let life = "Queued Running Running Running Running Running Queued Running Failed Queued Running Running Running \
                Running Running Running Running Succeeded";
    let stopped = "Queued Running Cancelling Cancelled";
    assert_eq!(states, format!("{life} {stopped}"));
    assert_eq!(records_forgotten(V1), 1);

    let Change::PageFinished { attempt: 1, page } = &events[3].change else { panic!("{:?}", events[3]) };
    assert_eq!(
        (page.number, page.width, page.zones.len(), page.warnings.as_slice()),
        (1, 595.0, 2, ["dim".into()].as_slice())
    );
    assert_eq!((&*page.zones[1].id, page.zones[1].bbox), ("J-p1-z2", [72.0, 145.0, 523.0, 90.25]));
    let done = &jobs[17];
    assert_eq!(
        (done.id.as_str(), done.owner.as_str(), done.attempt, done.attempts_without_progress),
        ("J", "alice", 3, 0)
    );
    assert_eq!((done.created, done.ended), (Timestamp(1_000), Some(Timestamp(18_000))));
    assert_eq!((done.pages.total, done.pages.done_count(), done.zones), (Some(3), 3, 4));
    assert_eq!(done.warnings, ["page 1: dim", "no OCR"]);
    assert_eq!(done.attempts.iter().map(|attempt| &*attempt.error.code).collect::<Vec<_>>(), ["LOST", "BAD"]);
    assert_eq!(done.labels.get("team").map(String::as_str), Some("blue"));
    assert_eq!(done.exports.iter().map(|export| export.format).collect::<Vec<_>>(), [Format::Json, Format::Text]);
}

#[test]
fn names_of_variants_stay_as_they_were() {
    for (name, charge) in [("Yes", AttemptCharge::Charged), ("No", AttemptCharge::Free)] {
        assert_eq!(rmp_serde::to_vec(&charge).unwrap(), rmp_serde::to_vec(name).unwrap());
    }
}

/// The lives of version 1's records as version 2 wrote them, with the fields that came since.
const V2: &[u8] = include_bytes!("../../tests/fixtures/record_v2.bin");

#[test]
fn version_2_is_read_for_ever() {
    let facts = |bytes| match decode(bytes).unwrap() {
        Record::Changed { event, job } => {
            let Job { state, attempt, pages, exports, warnings, ended, .. } = Arc::unwrap_or_clone(job);
            let warnings = warnings.join(", ");
            format!("{} {state:?} {attempt} {:?} {exports:?} {warnings} {ended:?}", event.at.0, pages.done)
        }
        Record::Forgotten => "forgotten".into(),
    };
    assert!(records(V2).map(facts).eq(records(V1).map(facts)), "the same jobs");
    let submitted = decode(records(V2).next().unwrap()).unwrap();
    let Record::Changed { job, .. } = submitted else { panic!("{submitted:?}") };
    assert_eq!((job.batch_size, job.cancel_unwatched_ms, job.pages.expected), (Some(2), Some(60_000), Some(3)));
    assert_eq!(job.password.as_deref(), Some("password-1"));
}

#[test]
fn what_version_2_wrote_is_written_again_as_it_was() {
    for bytes in records(V2) {
        assert_eq!(encode(&decode(bytes).unwrap()).unwrap(), bytes, "a field was moved or is not at the end");
    }
}

#[test]
fn nothing_of_version_1_is_lost_when_it_is_written_again() {
    for bytes in records(V1) {
        let record = decode(bytes).unwrap();
        assert_eq!(decode(&encode(&record).unwrap()).unwrap(), record);
    }
}

fn records(mut file: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = file.split_first_chunk()?;
        let (record, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        file = rest;
        Some(record)
    })
}

fn records_forgotten(file: &[u8]) -> usize {
    records(file).filter(|bytes| matches!(decode(bytes), Ok(Record::Forgotten))).count()
}

/// Makes the fixture of a new version. A fixture that is there is never made again.
#[test]
#[ignore = "only for a new version"]
fn write_the_fixture() {
    let path = format!("{}/tests/fixtures/record_v{VERSION}.bin", env!("CARGO_MANIFEST_DIR"));
    let mut file = Vec::new();
    for record in every_record() {
        let bytes = encode(&record).unwrap();
        file.extend((bytes.len() as u32).to_le_bytes());
        file.extend(bytes);
    }
    let mut options = std::fs::File::options();
    std::io::Write::write_all(&mut options.write(true).create_new(true).open(path).unwrap(), &file).unwrap();
}

fn every_record() -> Vec<Record> {
    let (worker, error) = (WorkerId::new("worker-1"), samples::error);
    let page = |number, zones| Box::new(samples::page("J", number, zones));
    let mut dim = page(1, 2);
    dim.warnings = vec!["dim".into()];
    let sha256: Box<str> = "ab".into();
    let submitted = || Change::Submitted(Box::new(samples::submission("J", "alice")));
    let life = [
        submitted(),
        Change::Started { attempt: 1, worker: worker.clone() },
        Change::Planned { attempt: 1, pages: 3, lane: None, document: None },
        Change::PageFinished { attempt: 1, page: dim },
        Change::PageFinished { attempt: 1, page: page(3, 1) },
        Change::ExportStarted { attempt: 1, format: Format::Json },
        Change::Retrying {
            attempt: 1,
            error: error("LOST"),
            not_before: Timestamp(9_000),
            charge: AttemptCharge::Charged,
        },
        Change::Started { attempt: 2, worker: worker.clone() },
        Change::Failed { attempt: 2, error: error("BAD") },
        Change::Requeued { by: "alice".into(), password: None },
        Change::Started { attempt: 3, worker: worker.clone() },
        Change::Planned { attempt: 3, pages: 3, lane: None, document: None },
        Change::PageFinished { attempt: 3, page: page(2, 1) },
        Change::ExportStarted { attempt: 3, format: Format::Json },
        Change::ExportStarted { attempt: 3, format: Format::Text },
        Change::ExportCompleted { attempt: 3, format: Format::Json, bytes: 10, sha256 },
        Change::ExportFailed { attempt: 3, format: Format::Text, error: error("DISK") },
        Change::OutputStored { attempt: 3, output: Box::new(samples::output("words.txt", 3)) },
        Change::Succeeded { attempt: 3, warnings: vec!["no OCR".into()] },
    ];
    let stopped = [
        submitted(),
        Change::Started { attempt: 1, worker },
        Change::Cancelling { by: "alice".into() },
        Change::Cancelled { by: "alice".into() },
    ];
    let mut records = history(&life);
    records.extend(history(&stopped));
    records.push(Record::Forgotten);
    records
}

fn history(changes: &[Change]) -> Vec<Record> {
    let (mut job, mut at, mut records) = (None::<Job>, 0, Vec::new());
    for change in changes {
        at += 1_000;
        let event = Event::new(Timestamp(at), change.clone());
        let next = apply(job.as_ref(), &event).unwrap();
        records.push(Record::Changed { event, job: Arc::new(next.clone()) });
        job = Some(next);
    }
    records
}
