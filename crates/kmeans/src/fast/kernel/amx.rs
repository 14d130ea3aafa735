//! Products of rows' bytes with centroids, in AMX' own instructions: rows' lines fill a register, a group's
//! line one, and so do the sums.
#![expect(unsafe_code, reason = "instructions that the standard library does not have")]

use super::{GroupLine, Part, Products};
use crate::integers::amx::lay_out;
use crate::simd::LINE;
use std::arch::asm;

/// One product of nothing. The caller holds a token of AMX.
#[inline]
pub(super) fn stay_awake() {
    lay_out();
    // SAFETY: the registers are laid out on this thread, and what is in these three means nothing.
    unsafe { asm!("tdpbusd tmm7, tmm6, tmm5", options(nostack, nomem)) };
}

/// The caller holds a token of AMX, and has checked that rows have as many lines as groups.
pub(super) fn multiply(parts: &[Part<'_>], sums: &mut Products) {
    lay_out();
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
