//! The built-in sets are what they are known to be.

use kscan_dataset::{Builtin, Dataset, Dtype, Source, Values, load};

fn u8_values(dataset: &Dataset) -> &ndarray::Array2<u8> {
    match dataset.table.values() {
        Values::U8(values) => values,
        other => panic!("{}", other.dtype()),
    }
}

#[test]
fn mnist() {
    let mnist = load(&Source::from("mnist"), None).unwrap();
    assert_eq!(mnist.name, "mnist");
    assert_eq!(mnist.table.dtype(), Dtype::U8);
    assert_eq!(mnist.table.shape(), [60_000, 28, 28]);
    assert_eq!((mnist.table.rows(), mnist.table.cols()), (60_000, 784));
    // The mean and the number of constant pixels of the training set are widely known.
    let values = u8_values(&mnist);
    let sum: u64 = values.iter().map(|&v| u64::from(v)).sum();
    assert!((sum as f64 / values.len() as f64 / 255.0 - 0.1307).abs() < 1e-4);
    let constant = values.columns().into_iter().filter(|c| c.iter().all(|v| v == &c[0])).count();
    assert_eq!(constant, 67);

    let labels = mnist.labels.unwrap();
    assert_eq!(labels.classes(), (0..10).collect::<Vec<i64>>());
    assert_eq!(labels.values()[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    assert_eq!(labels.values().iter().filter(|&&v| v == 1).count(), 6_742);
}

#[test]
fn digits() {
    let digits = load(&Source::Builtin(Builtin::Digits), None).unwrap();
    assert_eq!(digits.name, "digits");
    assert_eq!(digits.table.dtype(), Dtype::U8);
    assert_eq!(digits.table.shape(), [1797, 8, 8]);
    let values = u8_values(&digits);
    assert_eq!(values.row(0).to_vec()[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
    assert_eq!(values.iter().max(), Some(&16));

    // The class distribution of the published test part.
    let labels = digits.labels.unwrap();
    let count = |class| labels.values().iter().filter(|&&v| v == class).count();
    assert_eq!(labels.classes().len(), 10);
    assert_eq!(
        (0..10).map(count).collect::<Vec<_>>(),
        [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    );
}
