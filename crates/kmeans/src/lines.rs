//! Numbers that begin with a cache line, so that a group of lanes never lies in two.

use crate::simd::LINE;
use bytemuck::{AnyBitPattern, NoUninit, Pod, Zeroable};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// A cache line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Line(pub(crate) [u8; LINE]);

impl Line {
    pub(crate) const ZERO: Self = Self([0; LINE]);
}

/// A vector of plain numbers, aligned to cache lines.
#[derive(Debug, Clone)]
pub(crate) struct Lines<T> {
    blocks: Vec<Line>,
    len: usize,
    numbers: PhantomData<T>,
}

impl<T> Default for Lines<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), len: 0, numbers: PhantomData }
    }
}

impl<T: NoUninit + AnyBitPattern> Lines<T> {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let lines = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        Self { blocks: bytemuck::zeroed_vec(lines), len, numbers: PhantomData }
    }
}

impl<T: NoUninit + AnyBitPattern> Deref for Lines<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.blocks)[..self.len]
    }
}

impl<T: NoUninit + AnyBitPattern> DerefMut for Lines<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.blocks)[..self.len]
    }
}
