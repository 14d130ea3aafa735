//! The product of rows with the basis: of matrices in binary32, or of integers, where AMX multiplies them.

use super::gemm::{self, PANEL};
use super::{Layout, product_error};
use crate::integers::{
    self, BYTES, Block, GroupLine, LANES, Lanes64, Products, combine, multiply_signed, put_in_lane,
    to_bytes, unit_of,
};
use crate::lines::{Line, Lines};
use crate::simd::{LINE, Simd};
use std::array;

/// The basis in bytes, `[component / 16][line of columns][3]`, and the units of its vectors: of `vectors`,
/// `[components, columns]`, which are multiples of their units, and whose columns are these of `d`.
pub(super) fn blocks_of(
    simd: Simd,
    vectors: &[f32],
    columns: &[usize],
    d: usize,
) -> (Vec<[Block; BYTES]>, Vec<f64>) {
    let components = (vectors.len() / columns.len()).next_multiple_of(PANEL);
    let lines = d.div_ceil(LINE);
    let empty = [[Line::ZERO; LANES]; BYTES];
    let mut blocks = vec![empty; components / LANES * lines];
    let mut units = vec![0.0; components];
    let mut bytes = [(); BYTES].map(|()| vec![0; columns.len()]);
    let vectors = vectors.chunks_exact(columns.len());
    for (component, (vector, unit)) in vectors.zip(&mut units).enumerate() {
        *unit = unit_of(simd, vector);
        to_bytes(simd, vector, *unit, &mut bytes);
        let blocks = &mut blocks[component / LANES * lines..][..lines];
        for (place, bytes) in bytes.iter().enumerate() {
            for (&column, byte) in columns.iter().zip(bytes) {
                let line = &mut blocks[column / LINE][place][component % LANES];
                line.0[column % LINE] = byte.cast_unsigned();
            }
        }
    }
    (blocks, units)
}

/// Blocks, `[component / 16][line of columns][3]`, in lanes: `[3][component / 16][line of columns]`.
fn in_lanes(blocks: &[[Block; BYTES]]) -> [Lines<GroupLine>; BYTES] {
    array::from_fn(|place| {
        let mut lines: Lines<GroupLine> = Lines::zeros(blocks.len());
        for (line, block) in lines.iter_mut().zip(blocks) {
            for (lane, Line(bytes)) in block[place].iter().enumerate() {
                put_in_lane(std::slice::from_mut(line), lane, bytemuck::cast_slice(bytes));
            }
        }
        lines
    })
}

/// The basis, as rows are multiplied with it.
pub(super) struct Basis<'a> {
    way: Way<'a>,
    /// Components, padding included.
    pub(super) width: usize,
    /// At least how far coordinates of a row of a norm of 1 are off, together.
    pub(super) error: f64,
}

enum Way<'a> {
    Integers { lanes: [Lines<GroupLine>; BYTES], units: &'a [Lanes64] },
    Numbers(&'a [f32]),
}

impl<'a> Basis<'a> {
    /// Of `d` columns: as `numbers`, and as integers, in blocks and with their units.
    pub(super) fn new(
        simd: Simd,
        layout: &Layout,
        defect: f64,
        numbers: &'a [f32],
        (blocks, units): (&[[Block; BYTES]], &'a [f64]),
    ) -> Self {
        let way = if integers::fit(simd, layout.d) {
            Way::Integers { lanes: in_lanes(blocks), units: units.as_chunks().0 }
        } else {
            Way::Numbers(numbers)
        };
        let error = product_error(simd, layout, defect, units);
        Self { way, width: numbers.len() / layout.d, error }
    }

    /// The `product` of `rows`, `[rows, d]`, with all of it, `[rows, width]`, with room for their bytes.
    pub(super) fn multiply(
        &self,
        simd: Simd,
        rows: &[f32],
        d: usize,
        room: &mut Room,
        product: &mut [f32],
    ) {
        let (lanes, units) = match &self.way {
            Way::Integers { lanes, units } => (lanes, units),
            Way::Numbers(basis) => return gemm::multiply(simd, rows, d, d, basis, product),
        };
        let steps = d.div_ceil(LINE);
        room.set(simd, rows, d);
        let mut sums = [Products::ZERO; BYTES + 1];
        let mut square = [[0.0; LANES]; LANES];
        // Vectors by vectors, so that they stay in the cache for all rows.
        for (group, vectors) in units.iter().enumerate() {
            let of_group = lanes.each_ref().map(|lines| &lines[group * steps..][..steps]);
            let blocks = room.blocks.chunks_exact(steps).zip(&room.units);
            let products = product.chunks_mut(LANES * self.width);
            for ((blocks, of_rows), product) in blocks.zip(products) {
                multiply_signed(simd, blocks, &of_group, &mut sums);
                combine(simd, &sums, of_rows, vectors, &mut square);
                for (product, square) in product.chunks_exact_mut(self.width).zip(&square) {
                    product[group * LANES..][..LANES].copy_from_slice(square);
                }
            }
        }
    }
}

/// Rows as integers.
#[derive(Default)]
pub(super) struct Room {
    /// `[row / 16][line of columns][3]`, and the units of rows.
    blocks: Vec<[Block; BYTES]>,
    units: Vec<Lanes64>,
    /// The bytes of one.
    bytes: [Vec<i8>; BYTES],
}

impl Room {
    /// Takes `rows`, `[rows, d]`.
    fn set(&mut self, simd: Simd, rows: &[f32], d: usize) {
        let steps = d.div_ceil(LINE);
        let groups = (rows.len() / d).div_ceil(LANES);
        self.blocks.resize(groups * steps, [[Line::ZERO; LANES]; BYTES]);
        self.units.resize(groups, [0.0; LANES]);
        for bytes in &mut self.bytes {
            bytes.resize(steps * LINE, 0);
        }
        for (row, values) in rows.chunks_exact(d).enumerate() {
            let (group, place) = (row / LANES, row % LANES);
            let unit = unit_of(simd, values);
            self.units[group][place] = unit;
            to_bytes(simd, values, unit, &mut self.bytes);
            for (step, blocks) in self.blocks[group * steps..][..steps].iter_mut().enumerate() {
                for (block, bytes) in blocks.iter_mut().zip(&self.bytes) {
                    let bytes = &bytes.as_chunks::<LINE>().0[step];
                    block[place] = Line(bytes.map(i8::cast_unsigned));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Layout, Plan};
    use super::*;
    use crate::data::Statistics;
    use crate::rows::{Magnitudes, Rows};
    use crate::simd::available;

    #[test]
    fn products_are_within_their_error() {
        // Neither whole blocks of rows, nor whole lines of columns, nor whole panels.
        let (n, d, components) = (83, 150, 90);
        let stride = Rows::stride_of(d);
        let mut values = vec![0.0_f32; n * stride];
        for (row, values) in values.chunks_exact_mut(stride).enumerate() {
            for (column, value) in values[..d].iter_mut().enumerate() {
                *value = ((row * d + column) * 7919 % 2003) as f32 / 1e3 - 1.0;
            }
        }
        let rows = Rows::new(&values, n, d);
        for simd in available() {
            let statistics = Statistics::compute(simd, rows, Magnitudes::of(&values), 1);
            let layout = Layout::with_components(n, d, components);
            let plan = Plan::new(simd, statistics.with_rows(rows), 1, layout).expect("rows differ");
            let integers = (&*plan.blocks, &*plan.units);
            let basis = Basis::new(simd, &layout, plan.defect, &plan.basis, integers);
            // Of all sizes, and one of nothing.
            let rows: Vec<f32> = (0..37 * d)
                .map(|at| values[at / d * stride + at % d] * 10.0_f32.powi((at / d) as i32 - 18))
                .map(|x| if x.abs() < 1e-18 { 0.0 } else { x })
                .collect();
            let mut product = vec![0.0; 37 * basis.width];
            basis.multiply(simd, &rows, d, &mut Room::default(), &mut product);
            for (row, product) in rows.chunks_exact(d).zip(product.chunks_exact(basis.width)) {
                let norm = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
                let exact = |c: usize| -> f64 {
                    let vector = &plan.basis[c / PANEL * d * PANEL + c % PANEL..];
                    let vector = vector.iter().step_by(PANEL);
                    row.iter().zip(vector).map(|(&x, &v)| f64::from(x) * f64::from(v)).sum()
                };
                let square = |c: usize| (f64::from(product[c]) - exact(c)).powi(2);
                let off = (0..components).map(square).sum::<f64>().sqrt();
                assert!(off <= basis.error * norm, "{simd:?}: {off} of {norm}");
            }
        }
    }
}
