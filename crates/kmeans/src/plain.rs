//! The engine that computes by definition: every distance of every row, and sums from nothing in
//! every iteration.

use crate::clusters::Clusters;
use crate::data::Data;
use crate::distance::{self, Nearest};
use crate::lloyd::{Assign, Counters};
use crate::rows::RowIndex;
use crate::simd::Simd;

/// Rows that are still in the cache when, after their labels, they are added up.
const BLOCK: usize = 64;

pub(crate) struct Plain<'a> {
    simd: Simd,
    data: Data<'a>,
    counters: Counters,
}

impl<'a> Plain<'a> {
    pub(crate) fn new(simd: Simd, data: Data<'a>) -> Self {
        Self { simd, data, counters: Counters::default() }
    }
}

impl Assign for Plain<'_> {
    fn assign(&mut self, centroids: &[f64], labels: &mut [u32], clusters: &mut Clusters) -> u64 {
        let rows = self.data.rows;
        let mut found = [Nearest { label: 0, distance: 0.0 }; BLOCK];
        let mut changed = 0;
        clusters.clear();
        for (block, labels) in labels.chunks_mut(BLOCK).enumerate() {
            let start = block * BLOCK;
            let found = &mut found[..labels.len()];
            distance::nearest(self.simd, rows.slice(start..start + labels.len()), centroids, found);
            for (offset, (label, found)) in labels.iter_mut().zip(&*found).enumerate() {
                changed += u64::from(*label != found.label);
                *label = found.label;
                clusters.add(rows.row(RowIndex::new(start + offset)), found.label);
            }
        }
        let n = labels.len();
        self.counters.rows_visited += n as u64;
        self.counters.by_definition += n as u64;
        self.counters.add_read(n * rows.d(), size_of::<f32>());
        changed
    }

    fn take_counters(&mut self) -> Counters {
        std::mem::take(&mut self.counters)
    }
}
