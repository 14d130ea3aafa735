//! Numbers that begin with a cache line, so that a group of lanes never lies in two.

use bytemuck::{AnyBitPattern, NoUninit, Pod, Zeroable};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

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
