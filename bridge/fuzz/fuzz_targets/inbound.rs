//! Takes anything as what a client says, in both formats: a command, or what is wrong with it, and nothing else.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| courant_bridge::wire::invariants::check(bytes));
