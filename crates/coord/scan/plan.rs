//! Which runs a scan is made of, and what they depend on.

use kscan_kmeans::DEFINITION_VERSION;
use kscan_protocol::RunId;
use kscan_results::{InitMethod, JournalKey, ScaleMethod, ScanConfig};

/// Every k of the scan, ascending.
pub(crate) fn ks(config: &ScanConfig) -> impl Iterator<Item = u32> {
    (config.k_low..=config.k_high).step_by(config.k_step as usize)
}

/// Every run, by k, then `init_id`: the order in which they are started.
pub(crate) fn runs(config: &ScanConfig) -> Vec<RunId> {
    ks(config).flat_map(|k| (0..config.n_init).map(move |init_id| RunId { k, init_id })).collect()
}

/// What the results depend on. `fingerprint` is the data's, `init_hash` that of a file of first
/// centroids.
pub(crate) fn journal_key(
    config: &ScanConfig,
    fingerprint: String,
    init_hash: Option<String>,
) -> JournalKey {
    let init = match (&config.init, init_hash) {
        (InitMethod::KMeansPlusPlus, _) => "k-means++".to_owned(),
        (InitMethod::Random, _) => "random".to_owned(),
        (InitMethod::File(_), hash) => format!("given {}", hash.unwrap_or_default()),
    };
    let scale = match config.scale {
        ScaleMethod::Standard => "standard",
        ScaleMethod::None => "none",
    };
    JournalKey {
        definition_version: DEFINITION_VERSION,
        fingerprint,
        scale: scale.to_owned(),
        seed: config.seed,
        init,
        max_iter: config.max_iter,
        tol: config.tol,
        k: ks(config).collect(),
        n_init: config.n_init,
    }
}

/// The first thing in which two keys differ, in words.
pub(crate) fn difference(before: &JournalKey, now: &JournalKey) -> Option<String> {
    let parts = |key: &JournalKey| {
        [
            ("version of the definitions", key.definition_version.to_string()),
            ("data", key.fingerprint.clone()),
            ("scale", key.scale.clone()),
            ("seed", key.seed.to_string()),
            ("init", key.init.clone()),
            ("max_iter", key.max_iter.to_string()),
            ("tol", key.tol.to_string()),
            ("k", format!("{:?}", key.k)),
            ("n_init", key.n_init.to_string()),
        ]
    };
    parts(before)
        .into_iter()
        .zip(parts(now))
        .find(|(before, now)| before != now)
        .map(|((name, before), (_, now))| format!("{name} was {before} and is {now}"))
}
