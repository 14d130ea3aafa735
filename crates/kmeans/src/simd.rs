//! Which vector instructions to use: detected once, carried as a token.
//!
//! A [`Simd`] can only be made for instructions that this processor has, so holding one is the
//! proof that calling a function compiled for them is sound. All levels give equal bits: the code
//! is the same, only compiled for wider registers, and nothing in it depends on their width.

use std::fmt;
use std::str::FromStr;

/// The instruction sets that hot loops are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SimdLevel {
    /// What every processor of the target architecture has.
    Portable,
    /// x86-64 with AVX2: 256-bit registers.
    Avx2,
    /// x86-64 with AVX-512 F, DQ, BW, VL and VNNI (Intel since 2019, AMD since 2022): 512-bit
    /// registers.
    Avx512,
    /// The same with AMX-INT8 (Intel's servers since 2023), where the system lets this process use it:
    /// products of whole blocks of bytes.
    Amx,
}

impl SimdLevel {
    /// All levels, lowest first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Amx];

    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx => Self::Avx512.is_available() && amx::may_be_used(),
            #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
            Self::Amx => false,
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
        })
    }
}

impl FromStr for SimdLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|level| level.to_string() == text)
            .ok_or_else(|| format!("unknown SIMD level '{text}'"))
    }
}

/// Proof that this processor has the instructions of a [`SimdLevel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simd(SimdLevel);

impl Simd {
    /// The widest level that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        SimdLevel::ALL.into_iter().rev().find_map(Self::new).unwrap_or(Self(SimdLevel::Portable))
    }

    /// The token for `level`, or `None` where this processor lacks it.
    #[must_use]
    pub fn new(level: SimdLevel) -> Option<Self> {
        level.is_available().then_some(Self(level))
    }

    /// The level that this token stands for.
    #[must_use]
    pub fn level(self) -> SimdLevel {
        self.0
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    use std::sync::LazyLock;

    /// Whether this processor has AMX-TILE and AMX-INT8, and the system saves its registers for this
    /// process, which it has to be asked for once.
    pub(super) fn may_be_used() -> bool {
        /// Features 24 and 25 of `EDX` in leaf 7.
        const TILE_AND_INT8: u32 = 3 << 24;
        /// Of Linux' `asm/prctl.h`; and the number of the registers' state.
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const XFEATURE_XTILEDATA: libc::c_long = 18;
        static MAY: LazyLock<bool> = LazyLock::new(|| {
            let has =
                __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & TILE_AND_INT8 == TILE_AND_INT8;
            has && {
                #[expect(unsafe_code, reason = "a system call that no crate wraps")]
                // SAFETY: it takes two numbers, and writes no memory of this process.
                let refused = unsafe {
                    libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
                };
                refused == 0
            }
        });
        *MAY
    }
}

/// Compiles an `#[inline(always)]` function once for each [`SimdLevel`] and makes a dispatcher.
///
/// `multiversion! { fn name = body(args…) -> Ret }` defines `fn name(simd: Simd, args…) -> Ret`,
/// which calls `body::<B>(args…)` with `B` the number of centroids to hold in registers at once.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident = $body:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "the arguments are those of the wrapped kernel")]
        $vis fn $name(simd: $crate::simd::Simd, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            #[allow(clippy::too_many_arguments, reason = "see above")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                $body::<2>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
            #[allow(clippy::too_many_arguments, reason = "see above")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                $body::<4>($($arg),*)
            }
            match simd.level() {
                #[cfg(target_arch = "x86_64")]
                #[expect(unsafe_code, reason = "calls a function compiled for more instructions")]
                // SAFETY: `simd` can only be made where the processor has these instructions.
                $crate::simd::SimdLevel::Avx512 | $crate::simd::SimdLevel::Amx => unsafe {
                    avx512($($arg),*)
                },
                #[cfg(target_arch = "x86_64")]
                #[expect(unsafe_code, reason = "calls a function compiled for more instructions")]
                // SAFETY: `simd` can only be made where the processor has these instructions.
                $crate::simd::SimdLevel::Avx2 => unsafe { avx2($($arg),*) },
                _ => $body::<1>($($arg),*),
            }
        }
    };
}
pub(crate) use multiversion;

/// Bytes of a cache line.
pub(crate) const LINE: usize = 64;

/// Asks for `values` to be in the cache soon. No result depends on it.
#[inline]
pub(crate) fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    x86_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }, T>(values);
    let _ = values;
}

/// As [`prefetch`], into the second cache alone: of what is read in order, the first one has no room for what
/// comes next.
#[inline]
pub(crate) fn prefetch_in_order<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    x86_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }, T>(values);
    let _ = values;
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn x86_prefetch<const HINT: i32, T>(values: &[T]) {
    let start: *const i8 = values.as_ptr().cast();
    let before = start.addr() % LINE;
    for offset in (0..before + size_of_val(values)).step_by(LINE) {
        let line = start.wrapping_sub(before).wrapping_add(offset);
        #[expect(unsafe_code, reason = "an instruction")]
        // SAFETY: every x86-64 processor has the instruction, and it reads nothing.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<HINT>(line);
        };
    }
}

/// Every level of this processor: what a test of equal bits goes through.
#[cfg(test)]
pub(crate) fn available() -> impl Iterator<Item = Simd> {
    SimdLevel::ALL.into_iter().filter_map(Simd::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for level in SimdLevel::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert!("avx1024".parse::<SimdLevel>().is_err());
    }

    #[test]
    fn detection_finds_the_widest() {
        assert_eq!(Simd::detect().level(), available().map(Simd::level).max().unwrap());
    }
}
