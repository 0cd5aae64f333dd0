//! Holds any bytes against `courant_pdf::invariants::ocr_markdown`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| courant_pdf::invariants::ocr_markdown(bytes));
