//! What a row's coordinates behind the first level gave, kept for later iterations.
//!
//! A row near a boundary needs its last coordinates in every iteration, though centroids hardly
//! move. So when it has needed them, the products of all its coordinates behind the first level with
//! all centroids are kept, with the iteration. Later, the first level's coordinates and these
//! products make a score, which is off by no more than the row's norm behind the first level times
//! how far the centroids' coordinates there have *drifted* since ([`super::judge`]). For that, those
//! coordinates of the last iterations are kept too.

use super::kernel::{LANES, prefetch};
use super::project::{Projected, distance_from, moved};
use super::weigh::{Behind, Table};
use crate::index::IndexView;
use crate::simd::Simd;

/// Iterations after which an anchor is forgotten.
const MEMORY: usize = 24;

/// With more lanes, anchors would take more memory than the coordinates that they save.
const MOST_LANES: usize = 2 * LANES;

pub(super) struct Anchors {
    lanes: usize,
    /// Coordinates of a centroid, in all levels and in the first.
    width: usize,
    first: usize,
    /// The number of this iteration, from 1.
    now: u32,
    /// Each row's iteration, 0 for none, and its products, `[n, lanes]`.
    since: Vec<u32>,
    products: Vec<f32>,
    /// For iteration `i`, at `i % MEMORY`: coordinates of centroids behind the first level, and
    /// each lane's drift from there to now.
    history: Vec<Past>,
}

#[derive(Clone, Default)]
struct Past {
    iteration: u32,
    /// Rows with an anchor of that iteration.
    rows: u32,
    values: Vec<f32>,
    drift: Vec<f32>,
}

impl Anchors {
    /// `None` where anchors make no sense: with one level, rows with parts outside the basis, or
    /// many centroids.
    pub(super) fn new(index: &IndexView<'_>, lanes: usize) -> Option<Self> {
        let layout = index.layout;
        let sensible = layout.levels() > 1 && layout.is_whole() && lanes <= MOST_LANES;
        sensible.then(|| Self {
            lanes,
            width: layout.width(),
            first: layout.widths[0],
            now: 0,
            since: vec![0; layout.n],
            products: vec![0.0; layout.n * lanes],
            history: vec![Past::default(); MEMORY],
        })
    }

    /// A new iteration begins, with these centroids.
    pub(super) fn advance(&mut self, simd: Simd, projected: &Projected) {
        self.now += 1;
        for past in &mut self.history {
            if past.rows == 0 || past.iteration + MEMORY as u32 <= self.now {
                past.rows = 0;
                continue;
            }

            past.drift.clear();
            let then = past.values.as_chunks::<LANES>().0.chunks_exact(self.width);
            let now = projected.values.as_chunks::<LANES>().0.chunks_exact(self.width);
            for (then, now) in then.zip(now) {
                let mut squares = [0.0; LANES];
                moved(simd, &then[self.first..], &now[self.first..], &mut squares);
                past.drift.extend(squares.map(|square| distance_from(square, projected.reach)));
            }
        }
        let current = &mut self.history[self.now as usize % MEMORY];
        current.iteration = self.now;
        current.rows = 0;
        current.values.clear();
        current.values.extend_from_slice(&projected.values);
        current.drift.clear();
        current.drift.resize(self.lanes, 0.0);
    }

    /// What is known so far cannot be used any more.
    pub(super) fn forget(&mut self) {
        self.history.iter_mut().for_each(|past| past.rows = 0);
        self.since.fill(0);
    }

    /// The row's products and the drift of all lanes since, if it has an anchor.
    #[inline]
    pub(super) fn get(&self, row: u32) -> Option<Behind<'_>> {
        let since = self.since[row as usize];
        if since == 0 || since + MEMORY as u32 <= self.now {
            return None;
        }
        let drift = &self.history[since as usize % MEMORY].drift;
        let products = &self.products[row as usize * self.lanes..][..self.lanes];
        Some(Behind { products, gaps: Table::common(drift), tails: drift })
    }

    /// Asks for the products of `row`, if it has an anchor, to be in the cache soon.
    #[inline]
    pub(super) fn prefetch(&self, row: u32) {
        if self.since[row as usize] != 0 {
            prefetch(&self.products[row as usize * self.lanes..][..self.lanes]);
        }
    }

    /// Keeps `products`, `[lanes]`, for `row`.
    pub(super) fn put(&mut self, row: u32, products: &[f32]) {
        let since = &mut self.since[row as usize];
        if *since != 0 && *since + (MEMORY as u32) > self.now {
            self.history[*since as usize % MEMORY].rows -= 1;
        }
        *since = self.now;
        self.history[self.now as usize % MEMORY].rows += 1;
        self.products[row as usize * self.lanes..][..self.lanes].copy_from_slice(products);
    }
}
