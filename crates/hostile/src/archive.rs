//! `.npz` files: given first centroids, and models.

use crate::data::{BUFFERS, presentable};
use crate::memory::{MemoryFile, within};
use kscan_dataset::{GivenCentroids, Npz};
use kscan_results::BestModel;

/// The archive's directory, and what values are widened to.
const PER_BYTE: usize = 1024;

/// What members may unfold to here: more only takes time.
const UNFOLDED_MAX: usize = 1 << 24;

/// How much of an array is held at a time while it grows and is put into order.
const PER_VALUE: usize = 16;

/// The most that reading `bytes`, an archive, may take; `None` where its members unfold to too much
/// to try.
///
/// No stream unfolds to more than 1,032 times its size, so the bytes bound what there can be.
fn allowed(bytes: &[u8]) -> Option<usize> {
    let unfolded = bytes.len().checked_mul(1032)?;
    (unfolded <= UNFOLDED_MAX).then(|| PER_BYTE * bytes.len() + PER_VALUE * unfolded + BUFFERS)
}

/// What `--init FILE.npz` is given.
pub(crate) fn centroids(bytes: &[u8]) -> bool {
    let Some(allowed) = allowed(bytes) else { return false };
    let mut is_read = false;
    let file = MemoryFile::of(bytes);
    let path = file.path();
    let names = Npz::read(&path).map(|npz| npz.names().map(str::to_owned).collect::<Vec<_>>());
    for name in names.inspect_err(presentable).unwrap_or_default() {
        let npz = Npz::read(&path).expect("it was read before");
        let array = within(allowed, || npz.array(&name));
        if let Ok(array) = array.inspect_err(presentable) {
            assert!(!array.shape.is_empty() && !array.shape.contains(&0), "{:?}", array.shape);
        }
    }
    for ks in [vec![2], vec![2, 3]] {
        let read = within(2 * allowed, || GivenCentroids::read(&path, ks.iter().copied()));
        let Ok(given) = read.inspect_err(presentable) else { continue };
        for k in ks {
            for init_id in [0, 1, u32::MAX] {
                let Some(centroids) = given.get(k, init_id) else { continue };
                assert!(!centroids.is_empty());
                assert!(centroids.iter().all(|value| value.is_finite()));
            }
        }
        is_read = true;
        assert!(given.get(4, 0).is_none(), "it was not asked for");
    }
    is_read
}

/// What `predict` and `verify` read of a run folder.
pub(crate) fn model(bytes: &[u8]) -> bool {
    let Some(allowed) = allowed(bytes) else { return false };
    let file = MemoryFile::of(bytes);
    let Ok(model) = within(allowed, || BestModel::read(&file.path())) else { return false };
    let (k, d) = model.centers.dim();
    assert!(k > 0 && d > 0);
    assert_eq!(model.centers_raw.dim(), (k, d));
    assert_eq!(model.init_centers.dim(), (k, d));
    assert_eq!((model.scale_mean.len(), model.scale_std.len()), (d, d));

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("k02.npz");
    model.write(&path).expect("a file");
    let again = BestModel::read(&path).expect("what was written");
    // As text: there may be a NaN in it, which equals nothing.
    assert_eq!(format!("{again:?}"), format!("{model:?}"));
    true
}
