use std::sync::Arc;

use super::*;
use crate::apply::apply;
use crate::event::Change;
use crate::ids::{Timestamp, WorkerId};
use crate::samples;

fn changed() -> Record {
    let append = samples::create("J", "alice");
    Record::Changed { event: append.event, job: append.job }
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
    bytes[0] = 2;
    let error = decode(&bytes).unwrap_err().at(Revision(7));
    assert!(matches!(error, ReadError::Version { revision: Revision(7), version: 2 }));
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

#[test]
fn a_record_over_the_limit_is_refused() {
    let Record::Changed { event, job } = changed() else { unreachable!() };
    let job = Arc::new(Job { warnings: vec!["x".repeat(MAX_RECORD_BYTES)], ..(*job).clone() });
    let error = encode(&Record::Changed { event, job }).unwrap_err();
    assert!(matches!(error, EncodeError::TooLarge { bytes } if bytes > MAX_RECORD_BYTES));
}

#[test]
fn fields_of_a_newer_version_are_skipped_and_missing_optional_ones_are_none() {
    #[derive(Serialize)]
    struct Newer {
        id: u8,
        name: &'static str,
        news: [u8; 3],
    }
    #[derive(Deserialize, PartialEq, Debug)]
    struct Older {
        id: u8,
        note: Option<String>,
    }
    let bytes = rmp_serde::to_vec_named(&Newer { id: 7, name: "x", news: [1, 2, 3] }).unwrap();
    assert_eq!(rmp_serde::from_slice::<Older>(&bytes).unwrap(), Older { id: 7, note: None });
}

#[test]
fn a_usual_record_is_small() {
    let Record::Changed { job, .. } = changed() else { unreachable!() };
    let change = Change::Started { attempt: 1, worker: WorkerId::new("worker-1") };
    let event = Event { at: Timestamp(2_000), change };
    let job = Arc::new(apply(Some(&job), &event).unwrap());
    let bytes = encode(&Record::Changed { event, job }).unwrap();
    assert!(bytes.len() < 1_000, "{} bytes", bytes.len());
}
