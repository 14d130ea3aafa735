//! Labels, in every form their file may have.

use std::path::Path;

use kscan_dataset::{Builtin, DatasetError, Labels, Source, load};

use crate::util::{Dir, assert_presentable, f32_le, f64_le, gzip, idx, npy};

fn labels_of(dir: &Dir, rows: u32, bytes: &[u8]) -> Result<Labels, DatasetError> {
    let data = dir.file("x", &idx(0x08, &[rows], &vec![0; rows as usize]));
    let labels = dir.file("y", bytes);
    load(&Source::from(data), Some(&labels)).map(|dataset| dataset.labels.unwrap())
}

#[test]
fn any_dtype_gives_the_same_labels() {
    let dir = Dir::new();
    let expected = Labels::new(vec![2, 0, 7]);
    for bytes in [
        idx(0x08, &[3], &[2, 0, 7]),
        idx(0x09, &[3, 1], &[2, 0, 7]),
        gzip(&idx(0x0B, &[3], &[0, 2, 0, 0, 0, 7])),
        npy("|u1", "(3,)", &[2, 0, 7]),
        npy("|u1", "(3, 1)", &[2, 0, 7]),
        npy("|i1", "(3,)", &[2, 0, 7]),
        npy("<i2", "(3,)", &[2, 0, 0, 0, 7, 0]),
        npy(">u2", "(3,)", &[0, 2, 0, 0, 0, 7]),
        npy("<i4", "(3,)", &[2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0]),
        npy("<u4", "(3,)", &[2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0]),
        gzip(&npy("<i8", "(3,)", &[2_i64, 0, 7].map(i64::to_le_bytes).concat())),
        npy("<f4", "(3,)", &f32_le(&[2.0, 0.0, 7.0])),
        npy("<f8", "(3, 1)", &f64_le(&[2.0, -0.0, 7.0])),
    ] {
        let labels = labels_of(&dir, 3, &bytes).unwrap();
        assert_eq!(labels, expected);
        assert_eq!(labels.fingerprint(), expected.fingerprint());
    }
}

#[test]
fn negative_and_large_labels_are_kept() {
    let dir = Dir::new();
    let values = [i64::MIN, -1, i64::MAX];
    let bytes = npy("<i8", "(3,)", &values.map(i64::to_le_bytes).concat());
    let labels = labels_of(&dir, 3, &bytes).unwrap();
    assert_eq!(labels.values(), values);
    assert_eq!(labels.classes(), values);
}

#[test]
fn what_are_no_labels() {
    let dir = Dir::new();
    let error_of = |bytes: &[u8]| {
        let error = labels_of(&dir, 4, bytes).unwrap_err();
        assert_presentable(&error);
        error
    };
    for shape in [&[4, 2][..], &[1, 4], &[4, 1, 1], &[2, 2]] {
        let body = vec![0; shape.iter().product::<u32>() as usize];
        let error = error_of(&idx(0x08, shape, &body));
        assert!(matches!(error, DatasetError::LabelsShape { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("{shape:?}")), "{error}");
    }
    for value in [0.5, f64::NAN, f64::INFINITY, 1e300] {
        let error = error_of(&npy("<f8", "(4,)", &f64_le(&[1.0, 2.0, value, 0.5])));
        assert!(matches!(error, DatasetError::LabelNotWhole { row: 2, .. }), "{error:?}");
        assert!(error.to_string().contains("row 2 (counted from 0)"), "{error}");
    }
    let error = error_of(&npy("<f4", "(4,)", &f32_le(&[1.0, 0.25, 0.0, 0.0])));
    assert!(error.to_string().contains("label 0.25 in row 1"), "{error}");
    assert!(matches!(error_of(b""), DatasetError::Empty { .. }));
    let missing = load(&Source::Builtin(Builtin::Digits), Some(Path::new("/no/such/file")));
    assert!(matches!(missing, Err(DatasetError::Io { .. })));
}

#[test]
fn given_labels_replace_built_in_ones() {
    let dir = Dir::new();
    let path = dir.file("y", &idx(0x08, &[1797], &[5; 1797]));
    let labels = load(&Source::Builtin(Builtin::Digits), Some(&path)).unwrap().labels.unwrap();
    assert_eq!(labels.classes(), [5]);
}
