//! Holds any bytes against `courant_pdf::laws::tesseract_table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| courant_pdf::laws::tesseract_table(bytes));
