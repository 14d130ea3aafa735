//! Rows as the bytes that they were before they were scaled.
//!
//! Passes over rows are limited by memory, and rows of a table of bytes take a quarter of it as such. A
//! byte `u` of a column stands for the value `(u - mean) / scale`, each step rounded to binary32, which
//! is how the scaler defines it. Divisions are slow, so the quotient is the product with the reciprocal,
//! corrected by its remainder, which takes fused multiply-add (Markstein 1990, "Computation of elementary
//! functions on the IBM RISC System/6000 processor"). That this gives the same bits is not relied upon:
//! whoever makes codes asks whether they do, of every row ([`CodedRows::stand_for`]).

use crate::rows::Rows;
use crate::simd::{Simd, SimdLevel, multiversion};

/// Rows that are asked for the codes that are common.
const ASKED: usize = 64;

/// Codes of rows, and what they stand for.
#[derive(Debug, Clone, Copy)]
pub struct CodedRows<'a> {
    codes: &'a [u8],
    columns: &'a [f32],
}

impl<'a> CodedRows<'a> {
    /// Numbers that are needed of each column.
    pub const NUMBERS: usize = 3;

    /// Whether there are instructions that make them faster than the rows themselves.
    #[must_use]
    pub fn pay(simd: Simd) -> bool {
        simd.level() >= SimdLevel::Avx512
    }

    /// What codes of each column stand for, `[NUMBERS, stride]`, where it is shifted by `mean` and divided
    /// by `std`, `[d]`. In padding, zeros are zeros.
    #[must_use]
    pub fn columns_of(mean: &[f64], std: &[f64]) -> Vec<f32> {
        let stride = Rows::stride_of(mean.len());
        let mut columns = vec![0.0; Self::NUMBERS * stride];
        for (column, (&mean, &std)) in mean.iter().zip(std).enumerate() {
            let numbers = [mean as f32, std as f32, 1.0 / std as f32];
            for (place, number) in numbers.into_iter().enumerate() {
                columns[place * stride + column] = number;
            }
        }
        columns
    }

    /// Of `codes`, `[n, stride]`, which stand for what `columns` says.
    ///
    /// # Panics
    /// Where these are not `[NUMBERS, stride]`, or the codes not whole rows.
    #[must_use]
    pub fn new(codes: &'a [u8], columns: &'a [f32]) -> Self {
        assert!(columns.len().is_multiple_of(Self::NUMBERS), "there are three numbers a column");
        let coded = Self { codes, columns };
        assert!(codes.len().is_multiple_of(coded.stride()), "codes are whole rows");
        coded
    }

    pub(crate) fn stride(self) -> usize {
        self.columns.len() / Self::NUMBERS
    }

    pub(crate) fn n(self) -> usize {
        self.codes.len() / self.stride()
    }

    /// Whether these codes stand for just these `rows`, bit for bit.
    #[must_use]
    pub fn stand_for(self, simd: Simd, rows: Rows<'_>) -> bool {
        self.codes.len() == rows.n() * rows.stride() && stand_for(simd, &self, rows)
    }

    /// The values that the `codes` of a row stand for, `[stride]` both.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn decode(&self, codes: &[u8], values: &mut [f32]) {
        let [means, scales, reciprocals] = self.columns();
        let columns = means.iter().zip(scales.iter().zip(reciprocals));
        for ((value, &code), (mean, (scale, reciprocal))) in
            values.iter_mut().zip(codes).zip(columns)
        {
            *value = value_of(code, *mean, *scale, *reciprocal);
        }
    }

    /// Means, scales, and the reciprocals of these, `[stride]` each.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn columns(&self) -> [&'a [f32]; 3] {
        let (means, scales) = self.columns.split_at(self.stride());
        let (scales, reciprocals) = scales.split_at(self.stride());
        [means, scales, reciprocals]
    }

    /// The code that is the most common in each column, as far as some rows tell, `[stride]`.
    pub(crate) fn common(&self) -> Vec<u8> {
        let step = self.n().div_ceil(ASKED);
        let rows: Vec<&[u8]> = (0..self.n()).step_by(step).map(|row| self.codes(row)).collect();
        let common = |column: usize| {
            let mut counts = [0_u32; 256];
            let counted = rows.iter().map(|codes| {
                let code = codes[column];
                let count = &mut counts[usize::from(code)];
                *count += 1;
                (*count, code)
            });
            counted.max().expect("there are rows").1
        };
        (0..self.stride()).map(common).collect()
    }

    /// The codes of a row, `[stride]`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
    pub(crate) fn codes(&self, row: usize) -> &'a [u8] {
        let stride = self.stride();
        &self.codes[row * stride..][..stride]
    }
}

/// What a code of a column stands for.
#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
pub(crate) fn value_of(code: u8, mean: f32, scale: f32, reciprocal: f32) -> f32 {
    let shifted = f32::from(code) - mean;
    let quotient = shifted * reciprocal;
    let remainder = (-quotient).mul_add(scale, shifted);
    remainder.mul_add(reciprocal, quotient)
}

multiversion! {
    /// As [`CodedRows::decode`].
    pub(crate) fn decode = decode_body(coded: &CodedRows<'_>, codes: &[u8], values: &mut [f32])
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn decode_body<const B: usize>(coded: &CodedRows<'_>, codes: &[u8], values: &mut [f32]) {
    coded.decode(codes, values);
}

multiversion! {
    fn stand_for = stand_for_body(coded: &CodedRows<'_>, rows: Rows<'_>) -> bool
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "takes the instruction set of the caller")]
fn stand_for_body<const B: usize>(coded: &CodedRows<'_>, rows: Rows<'_>) -> bool {
    let mut values = vec![0.0; rows.stride()];
    for (row, expected) in rows.iter().enumerate() {
        coded.decode(coded.codes(row), &mut values);
        let differ = values.iter().zip(expected).map(|(a, b)| a.to_bits() ^ b.to_bits());
        if differ.fold(0, |all, bits| all | bits) != 0 {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;

    #[test]
    fn every_byte_of_every_column_is_given_back() {
        let (n, d) = (256, 130);
        let stride = Rows::stride_of(d);
        let mean: Vec<f64> = (0..d).map(|i| (i * i) as f64 / 70.0 + 0.1).collect();
        let std: Vec<f64> = (0..d).map(|i| 1e-3 + (i * 7 % 97) as f64 / 3.0).collect();
        let mut codes = vec![0; n * stride];
        let mut values = vec![0.0_f32; n * stride];
        for row in 0..n {
            for column in 0..d {
                let place = row * stride + column;
                codes[place] = (row + column) as u8;
                let shifted = f32::from(codes[place]) - mean[column] as f32;
                values[place] = shifted / std[column] as f32;
            }
        }
        let columns = CodedRows::columns_of(&mean, &std);
        for simd in available() {
            let coded = CodedRows::new(&codes, &columns);
            assert!(coded.stand_for(simd, Rows::new(&values, n, d)), "{simd:?}");
            let mut other = values.clone();
            other[5 * stride + 3] = other[5 * stride + 3].next_up();
            assert!(!coded.stand_for(simd, Rows::new(&other, n, d)), "{simd:?}");
            assert!(!coded.stand_for(simd, Rows::new(&values[stride..], n - 1, d)), "{simd:?}");
        }
    }
}
