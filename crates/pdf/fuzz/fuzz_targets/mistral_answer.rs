//! Holds any bytes against `courant_pdf::invariants::mistral_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| courant_pdf::invariants::mistral_answer(bytes));
