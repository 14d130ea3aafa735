//! The program from outside: real processes, real signals, real files.

mod commands;
mod data_errors;
mod formats;
mod given;
mod harness;
mod logs;
mod outputs;
mod progress;
mod resume;
mod scan;
mod signals;
mod usage;
mod workers;
