//! Products of blocks of bytes, in AMX' own instructions.
//!
//! Its registers are blocks of up to 16 rows of 64 bytes. Rows' lines fill one, a group's line one, and
//! so do the sums: one instruction multiplies all. What the registers are to hold is laid out once for
//! each thread and stays so, for nothing else in the process uses them.
#![expect(unsafe_code, reason = "instructions that the standard library does not have")]

use super::{GroupLine, Part, Products};
use crate::simd::LINE;
use std::arch::asm;
use std::cell::Cell;

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    /// Bytes of a row of each register, and its rows.
    widths: [u16; 16],
    rows: [u8; 16],
}

const _: () = assert!(size_of::<Config>() == 64, "the size that the instruction reads");

/// Registers that are used: sums, rows, centroids; each of 16 rows of 64 bytes.
const USED: usize = 3;

static CONFIG: Config = {
    let (mut widths, mut rows) = ([0; 16], [0; 16]);
    let mut register = 0;
    while register < USED {
        (widths[register], rows[register]) = (LINE as u16, 16);
        register += 1;
    }
    Config { palette: 1, start_row: 0, reserved: [0; 14], widths, rows }
};

thread_local! {
    static IS_LAID_OUT: Cell<bool> = const { Cell::new(false) };
}

/// The caller holds a token of AMX, and has checked that rows have as many lines as groups.
pub(super) fn multiply(parts: &[Part<'_>], sums: &mut Products) {
    IS_LAID_OUT.with(|is_laid_out| {
        if !is_laid_out.replace(true) {
            // SAFETY: the token stands for AMX, which the system lets this process use; the instruction
            // reads 64 bytes.
            unsafe {
                asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, readonly));
            };
        }
    });
    // SAFETY: the registers are laid out on this thread, and nobody else uses them. That of the sums
    // begins with zeros, not with what is in memory: to read what was just written were to wait for it.
    unsafe { asm!("tilezero tmm0", options(nostack, nomem)) };
    for Part { rows, group } in parts.iter().filter(|part| !part.group.is_empty()) {
        // SAFETY: each pass reads a line of 16 rows, which lie at equal distances, and one of the group,
        // which is 16 times 64 bytes that follow each other; there are so many lines of both, and one at
        // least. The register of the sums goes on from part to part.
        unsafe {
            asm!(
                "2:",
                "tileloadd tmm1, [{rows} + {stride}]",
                "tileloadd tmm2, [{group} + {width}]",
                "tdpbusd tmm0, tmm1, tmm2",
                "add {rows}, {width}",
                "add {group}, {block}",
                "dec {left}",
                "jnz 2b",
                width = in(reg) LINE,
                stride = in(reg) rows.stride,
                rows = inout(reg) rows.bytes.as_ptr() => _,
                group = inout(reg) group.as_ptr() => _,
                left = inout(reg) group.len() => _,
                block = const size_of::<GroupLine>(),
                options(nostack, readonly),
            );
        }
    }
    // SAFETY: sums are 16 times 64 bytes.
    unsafe {
        asm!(
            "tilestored [{sums} + {width}], tmm0",
            sums = in(reg) sums.0.as_mut_ptr(),
            width = in(reg) LINE,
            options(nostack),
        );
    }
}
