//! Products of blocks of bytes, in AMX' own instructions.
//!
//! Its registers are blocks of up to 16 rows of 64 bytes. A block fills one, a group's line one, and so do
//! the sums: one instruction multiplies all. What the registers are to hold is laid out once for each thread
//! and stays so, for nothing else in the process uses them.
#![expect(unsafe_code, reason = "instructions that the standard library does not have")]

use super::{BYTES, Block, GroupLine, Products};
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

/// Registers, each of 16 rows of 64 bytes.
const USED: usize = 8;

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

/// Lays out the registers, where that has not been done on this thread.
#[inline]
pub(crate) fn lay_out() {
    IS_LAID_OUT.with(|is_laid_out| {
        if !is_laid_out.replace(true) {
            // SAFETY: the token stands for AMX, which the system lets this process use; the instruction
            // reads 64 bytes.
            unsafe {
                asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, readonly));
            };
        }
    });
}

/// The caller holds a token of AMX, and has checked that there are as many lines of each group as blocks.
pub(super) fn multiply_signed(
    blocks: &[[Block; BYTES]],
    [high, middle, low]: &[&[GroupLine]; BYTES],
    sums: &mut [Products; BYTES + 1],
) {
    lay_out();
    // SAFETY: the registers are laid out on this thread, and nobody else uses them.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            options(nostack, nomem)
        );
    }
    if !blocks.is_empty() {
        // SAFETY: each pass reads three blocks, which follow each other, and a line of each of three groups, of
        // 16 times 64 bytes all; there are so many of them, and one at least.
        unsafe {
            asm!(
                "2:",
                "tileloadd tmm4, [{blocks} + {width}]",
                "tileloadd tmm5, [{blocks} + {width} + {block}]",
                "tileloadd tmm6, [{blocks} + {width} + 2 * {block}]",
                "tileloadd tmm7, [{high} + {width}]",
                "tdpbssd tmm0, tmm4, tmm7",
                "tdpbssd tmm1, tmm5, tmm7",
                "tdpbssd tmm2, tmm6, tmm7",
                "tileloadd tmm7, [{middle} + {width}]",
                "tdpbssd tmm1, tmm4, tmm7",
                "tdpbssd tmm2, tmm5, tmm7",
                "tdpbssd tmm3, tmm6, tmm7",
                "tileloadd tmm7, [{low} + {width}]",
                "tdpbssd tmm2, tmm4, tmm7",
                "tdpbssd tmm3, tmm5, tmm7",
                "add {blocks}, 3 * {block}",
                "add {high}, {block}",
                "add {middle}, {block}",
                "add {low}, {block}",
                "dec {left}",
                "jnz 2b",
                width = in(reg) LINE,
                blocks = inout(reg) blocks.as_ptr() => _,
                high = inout(reg) high.as_ptr() => _,
                middle = inout(reg) middle.as_ptr() => _,
                low = inout(reg) low.as_ptr() => _,
                left = inout(reg) blocks.len() => _,
                block = const size_of::<GroupLine>(),
                options(nostack, readonly),
            );
        }
    }
    // SAFETY: sums are four times 16 times 64 bytes.
    unsafe {
        asm!(
            "tilestored [{sums} + {width}], tmm0",
            "tilestored [{sums} + {width} + {block}], tmm1",
            "tilestored [{sums} + {width} + 2 * {block}], tmm2",
            "tilestored [{sums} + {width} + 3 * {block}], tmm3",
            sums = in(reg) sums.as_mut_ptr(),
            width = in(reg) LINE,
            block = const size_of::<Products>(),
            options(nostack),
        );
    }
}

const _: () = assert!(size_of::<Block>() == size_of::<GroupLine>(), "one step for both");
