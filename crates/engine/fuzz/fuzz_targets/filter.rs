//! Reads anything as a filter. What is understood is shown and read again as the same.
#![no_main]

use courant_engine::filter::{MAX_BYTES, MAX_DEPTH, parse};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(Some(filter)) = parse(&text) {
        let shown = filter.to_string();
        if shown.len() <= MAX_BYTES && shown.matches('(').count() < MAX_DEPTH {
            assert_eq!(parse(&shown), Ok(Some(filter)));
        }
    }
});
