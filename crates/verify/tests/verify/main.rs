//! Real scans, verified as they are and after something in them was changed.

mod holds;
mod scan;
mod tampered_journal;
mod tampered_json;
mod tampered_model;
mod tampered_references;
mod tampered_tables;
