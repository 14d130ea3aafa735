//! One whole run, from parameters to [`Fit`].

use crate::coded::CodedRows;
use crate::data::Data;
use crate::digest::Digest;
use crate::fast::{self, Fast};
use crate::index::IndexView;
use crate::lloyd::{self, Assign, Counters, Iteration, Limits, Stop};
use crate::plain::Plain;
use crate::random::RunRandom;
use crate::rows::{RowIndex, Rows};
use crate::seeding;
use crate::simd::Simd;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How labels are found. All engines give the same bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// By bounds and, where the data have one, an index: as little of the data as is enough.
    #[default]
    Fast,
    /// By the definition, every distance of every row: the reference.
    Plain,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast",
            Self::Plain => "plain",
        })
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fast" => Ok(Self::Fast),
            "plain" => Ok(Self::Plain),
            _ => Err(format!("unknown engine '{text}'")),
        }
    }
}

/// Where the first centroids come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Init {
    /// Rows chosen by greedy k-means++.
    KMeansPlusPlus,
    /// Distinct rows chosen uniformly.
    Random,
    /// These, of shape `[k, d]`, in the space of the normalised rows.
    Centroids(Array2<f32>),
}

/// What one run is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Number of clusters.
    pub k: usize,
    /// Which of the initialisations for this k: part of the random stream's key.
    pub init_id: u64,
    /// The scan's seed: part of the random stream's key.
    pub seed: u64,
    /// Where the first centroids come from.
    pub init: Init,
    /// Most iterations.
    pub max_iter: u32,
    /// Stop when the squared shift of all centroids is at most this times the columns' mean
    /// variance.
    pub tol: f64,
    /// How labels are found.
    pub engine: Engine,
    /// Which vector instructions to use.
    pub simd: Simd,
}

/// What one run found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The returned centroids, `[k, d]`.
    pub centroids: Array2<f64>,
    /// The label of every row, `[n]`: the index of its nearest centroid.
    pub labels: Vec<u32>,
    /// Sum of the rows' squared distances to their centroids.
    pub inertia: f64,
    /// Iterations done.
    pub n_iter: u32,
    /// Why it stopped.
    pub stop: Stop,
    /// The rows that the first centroids were, empty where centroids were given.
    pub init_rows: Vec<RowIndex>,
    /// The first centroids, `[k, d]`.
    pub init_centers: Array2<f32>,
    /// How many times an empty cluster was given a far row.
    pub relocated: u64,
    /// Clusters that have rows: fewer than k where there are fewer distinct rows than k.
    pub distinct_clusters: usize,
    /// What was looked at in all iterations; what seeding read is counted too.
    pub counters: Counters,
}

impl Fit {
    /// The hash over what was found.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.centroids.view(), &self.labels, self.inertia, self.n_iter)
    }
}

/// Why a run cannot be done at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// `k` is 0 or above the number of rows.
    #[error("k = {k} clusters cannot be made of {n} rows")]
    K {
        /// Clusters asked for.
        k: usize,
        /// Rows there are.
        n: usize,
    },
    /// The given centroids are not `[k, d]`.
    #[error("the first centroids are {found:?}, not {expected:?}")]
    CentroidShape {
        /// Their shape.
        found: (usize, usize),
        /// The shape that fits k and the data.
        expected: (usize, usize),
    },
    /// A given centroid is NaN or infinite.
    #[error("first centroid {centroid} has a value that is not finite in column {column}")]
    CentroidNotFinite {
        /// Which centroid, from 0.
        centroid: usize,
        /// Which column, from 0.
        column: usize,
    },
}

/// Who watches a run.
pub trait Observer {
    /// The first centroids are there; `counters` tell what was read for them.
    fn seeded(&mut self, init_rows: &[RowIndex], counters: &Counters);
    /// An iteration is done.
    fn iterated(&mut self, iteration: &Iteration);
}

/// Watches nothing.
impl Observer for () {
    fn seeded(&mut self, _: &[RowIndex], _: &Counters) {}
    fn iterated(&mut self, _: &Iteration) {}
}

/// Does one run on `data`. An `index` of them makes [`Engine::Fast`] faster, and changes nothing
/// else.
///
/// # Errors
/// Where `k` does not fit the number of rows, or given centroids do not fit k and the data.
pub fn fit(
    data: Data<'_>,
    index: Option<IndexView<'_>>,
    parameters: &Parameters,
    observer: &mut dyn Observer,
) -> Result<Fit, FitError> {
    let &Parameters { k, simd, engine, .. } = parameters;
    let (n, d) = (data.rows.n(), data.rows.d());
    // The definitions ask for the rows themselves.
    let coded = data.coded.filter(|_| engine == Engine::Fast && CodedRows::pay(simd));
    let data = Data { coded, ..data };
    if k == 0 || k > n || u32::try_from(k).is_err() {
        return Err(FitError::K { k, n });
    }
    let First { rows: init_rows, centers: init_centers, labels, mut counters } =
        first_centroids(data, index, parameters)?;
    observer.seeded(&init_rows, &counters);

    let limits =
        Limits { max_iter: parameters.max_iter, max_shift: parameters.tol * data.mean_variance() };
    let (mut fast, mut plain);
    let engine: &mut dyn Assign = match engine {
        Engine::Fast => {
            fast = Fast::new(simd, data, index, labels);
            &mut fast
        }
        Engine::Plain => {
            plain = Plain::new(simd, data);
            &mut plain
        }
    };
    let found = lloyd::iterate(simd, data, padded(&init_centers), limits, engine, |iteration| {
        observer.iterated(iteration);
    });
    counters += found.counters;
    let inertia = lloyd::inertia(simd, data, &found.centroids, &found.labels);
    let stride = data.rows.stride();
    Ok(Fit {
        centroids: Array2::from_shape_fn((k, d), |(j, i)| found.centroids[j * stride + i]),
        labels: found.labels,
        inertia,
        n_iter: found.n_iter,
        stop: found.stop,
        init_rows,
        init_centers,
        relocated: found.relocated,
        distinct_clusters: found.distinct_clusters,
        counters,
    })
}

/// What a run starts from.
struct First {
    /// The rows that the first centroids are, none where centroids were given.
    rows: Vec<RowIndex>,
    /// `[k, d]`.
    centers: Array2<f32>,
    /// What is known of the first labels, as [`Fast::new`] takes it.
    labels: Vec<u32>,
    /// What was read for them.
    counters: Counters,
}

fn first_centroids(
    data: Data<'_>,
    index: Option<IndexView<'_>>,
    parameters: &Parameters,
) -> Result<First, FitError> {
    let &Parameters { k, simd, seed, init_id, .. } = parameters;
    let d = data.rows.d();
    let mut random = RunRandom::new(seed, k as u64, init_id);
    let (mut labels, mut counters) = (Vec::new(), Counters::default());
    let rows = match &parameters.init {
        Init::KMeansPlusPlus => match (parameters.engine, index) {
            (Engine::Fast, Some(index)) if fast::seeding::pays(&index, k) => {
                let found = fast::seeding::kmeans_plus_plus(simd, data, &index, &mut random, k);
                (labels, counters) = (found.labels, found.counters);
                found.rows
            }
            _ => {
                counters.add_read(seeding::rows_read(data.rows.n(), k) * d, size_of::<f32>());
                seeding::kmeans_plus_plus(simd, data, &mut random, k)
            }
        },
        Init::Random => seeding::random_rows(&mut random, data.rows.n(), k),
        Init::Centroids(centroids) => {
            if centroids.dim() != (k, d) {
                return Err(FitError::CentroidShape { found: centroids.dim(), expected: (k, d) });
            }
            if let Some(((centroid, column), _)) =
                centroids.indexed_iter().find(|(_, x)| !x.is_finite())
            {
                return Err(FitError::CentroidNotFinite { centroid, column });
            }
            return Ok(First { rows: Vec::new(), centers: centroids.clone(), labels, counters });
        }
    };
    let centers = Array2::from_shape_fn((k, d), |(j, i)| data.rows.row(rows[j])[i]);
    Ok(First { rows, centers, labels, counters })
}

/// As `[k, stride]`, padded with zeros.
fn padded(centers: &Array2<f32>) -> Vec<f64> {
    let stride = Rows::stride_of(centers.ncols());
    let mut padded = vec![0.0; centers.nrows() * stride];
    for (padded, center) in padded.chunks_exact_mut(stride).zip(centers.rows()) {
        for (padded, &x) in padded.iter_mut().zip(center) {
            *padded = f64::from(x);
        }
    }
    padded
}
