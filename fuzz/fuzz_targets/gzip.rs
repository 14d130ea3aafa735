#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    kscan_hostile::open("gzip", bytes);
});
