//! Holds any bytes against `courant_pdf::invariants::running_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| courant_pdf::invariants::running_text(bytes));
