//! The program from outside: real processes, real signals, real files.

mod browser;
mod commands;
mod data_errors;
mod disk;
mod false_worker;
mod formats;
mod given;
mod harness;
mod hostile_files;
mod hostile_worker;
mod limits;
mod logs;
mod outputs;
mod progress;
mod python;
mod report;
mod resume;
mod scan;
mod signals;
mod soak;
mod status;
mod strangers;
mod suspend;
mod trace;
mod usage;
mod workers;
