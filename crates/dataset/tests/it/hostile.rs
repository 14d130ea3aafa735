//! Whatever the bytes are, reading them ends, in an error or a table, without a panic and
//! without memory that the file does not fill.

use std::time::{Duration, Instant};

use kscan_dataset::{DatasetError, Source, load};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::util::{Dir, assert_presentable, fixture, gzip, idx, npy, npy_raw};

/// So many bytes cannot be reserved anywhere: were they tried, the error would be another one.
#[test]
fn declared_sizes_are_not_believed() {
    let dir = Dir::new();
    let far_too_much: [(Vec<u8>, u64); 5] = [
        (idx(0x08, &[1 << 30, 1 << 29], &[0; 100]), 1 << 59),
        (idx(0x0E, &[1 << 31, 1 << 26], &[0; 100]), 1 << 60),
        (npy("|u1", "(1073741824, 536870912)", &[0; 100]), 1 << 59),
        (npy("<f8", "(1, 576460752303423488)", &[0; 100]), 1 << 62),
        (
            npy_raw(
                "{'descr': '<f4', 'fortran_order': True, 'shape': (1073741824, 268435456)}",
                &[0; 100],
            ),
            1 << 60,
        ),
    ];
    for (bytes, declared) in far_too_much {
        for file in [&bytes, &gzip(&bytes)] {
            let error = dir.error(file);
            let DatasetError::Truncated { expected, found, .. } = error else {
                panic!("{error:?}")
            };
            assert_eq!(found, bytes.len() as u64);
            assert_eq!(expected, bytes.len() as u64 - 100 + declared);
        }
    }
}

#[test]
fn declared_sizes_that_overflow() {
    let dir = Dir::new();
    for bytes in [
        idx(0x08, &[u32::MAX, u32::MAX, u32::MAX], &[0; 100]),
        idx(0x0E, &[u32::MAX, 1 << 30], &[0; 100]),
        idx(0x08, &[1 << 30, 1 << 30], &[0; 100]),
        // The product is 0 modulo 2^64.
        idx(0x08, &[1 << 31, 1 << 31, 1 << 31], &[]),
        idx(0x08, &[2; 255], &[0; 100]),
        npy("<f8", "(18446744073709551615, 2)", &[0; 100]),
        npy("|u1", "(9223372036854775807,)", &[0; 100]),
        npy("<f8", "(2305843009213693952,)", &[0; 100]),
    ] {
        let error = dir.error(&bytes);
        assert!(matches!(error, DatasetError::TooLarge { .. }), "{error:?}");
    }
    // As many dimensions as there can be, all of them harmless.
    assert_eq!(dir.table(&idx(0x08, &[1; 255], &[7])).unwrap().shape().len(), 255);
}

/// The header's parser tries nested brackets again and again.
#[test]
fn headers_that_take_long_to_parse() {
    let dir = Dir::new();
    let start = Instant::now();
    for open in ["(", "[", "{", "{1:", "({1:[", "(1,"] {
        for count in [5, 6, 7, 40, 3_000] {
            let error = dir.error(&npy_raw(&open.repeat(count), &[]));
            assert!(matches!(error, DatasetError::NpyHeader { .. }), "{error:?}");
        }
    }
    // As deep and as long as is let through, and wrong at its very end.
    let elements = "'<f4',".repeat(1_600);
    for (open, close) in [("{1:[[[[[", "]]]]]"), ("{((((((", "))))))"), ("{1:[([([", "])])]")] {
        dir.error(&npy_raw(&format!("{open}{elements}{close}"), &[]));
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[cfg(target_os = "linux")]
#[test]
fn endless_files() {
    for path in ["/dev/zero", "/dev/urandom"] {
        let result = load(&Source::from(path), None);
        assert!(matches!(result, Err(DatasetError::UnknownFormat { .. })), "{result:?}");
    }
}

/// Files of every kind that can be read, small ones.
fn valid_files() -> Vec<Vec<u8>> {
    let mut files = vec![
        idx(0x08, &[3, 2, 2], &(0..12).collect::<Vec<_>>()),
        idx(0x0D, &[2], &[0x3f, 0x80, 0, 0, 0x40, 0, 0, 0]),
        gzip(&idx(0x0B, &[2, 2], &[0, 1, 0, 2, 0, 3, 0, 4])),
        gzip(&npy("<i2", "(2, 1)", &[1, 0, 2, 0])),
    ];
    for name in ["u1-le-f.npy", "f8-be-c.npy", "version-3.npy", "bad-structured.npy"] {
        files.push(std::fs::read(fixture(name)).unwrap());
    }
    files
}

/// Reads `bytes` as data and as labels; what comes out holds together.
fn survives(dir: &Dir, bytes: &[u8]) {
    let path = dir.file("data", bytes);
    match load(&Source::from(path.clone()), Some(&path)) {
        Err(error) => assert_presentable(&error),
        Ok(dataset) => assert_eq!(dataset.labels.unwrap().values().len(), dataset.table.rows()),
    }
    match dir.table(bytes) {
        Err(error) => assert_presentable(&error),
        Ok(table) => {
            let (n, d) = (table.rows(), table.cols());
            assert_eq!(table.shape().iter().product::<usize>(), n * d);
            let mut out = vec![0.0; n * d];
            table.copy_rows_f32(0..n, &mut out, d);
            assert!(out.iter().all(|v| v.is_finite()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in 0..5_usize) {
        let magic = [
            &b""[..], b"\x93NUMPY\x01\x00", b"\x93NUMPY\x03\x00\x40\x00\x00\x00", b"\x00\x00", b"\x1f\x8b\x08\x00",
        ][magic];
        survives(&Dir::new(), &[magic, &bytes].concat());
    }

    #[test]
    fn headers_of_python_like_text(text in "[\\{\\}\\[\\]\\(\\),:'a-z0-9<|> \\\\+.-]{0,120}", wrap in any::<bool>()) {
        let header = if wrap {
            format!("{{'descr': {text}, 'fortran_order': False, 'shape': (1,), }}")
        } else {
            text
        };
        survives(&Dir::new(), &npy_raw(&header, &[0; 8]));
    }

    #[test]
    fn mutated_files(
        which in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<Index>()),
        tail in prop::collection::vec(any::<u8>(), 0..3),
        compress in any::<bool>(),
    ) {
        let files = valid_files();
        let mut bytes = files[which.index(files.len())].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes.extend(tail);
        let bytes = if compress { gzip(&bytes) } else { bytes };
        survives(&Dir::new(), &bytes);
    }

    #[test]
    fn any_shape_and_order_reads_back(
        shape in prop::collection::vec(1_usize..6, 1..5),
        fortran in any::<bool>(),
        big in any::<bool>(),
        compress in any::<bool>(),
    ) {
        // The value of an element is its row-major index, wherever the file has it.
        let count: usize = shape.iter().product();
        let mut body = vec![0; 4 * count];
        for index in 0..count {
            let (mut rest, mut at, mut stride) = (index, 0, 1);
            let mut coordinates = vec![0; shape.len()];
            for axis in (0..shape.len()).rev() {
                coordinates[axis] = rest % shape[axis];
                rest /= shape[axis];
            }
            for axis in 0..shape.len() {
                at += coordinates[axis] * stride;
                stride *= shape[axis];
            }
            let at = 4 * if fortran { at } else { index };
            let value = index as i32;
            let value = if big { value.to_be_bytes() } else { value.to_le_bytes() };
            body[at..at + 4].copy_from_slice(&value);
        }
        let header = format!(
            "{{'descr': '{}i4', 'fortran_order': {}, 'shape': ({},), }}",
            if big { '>' } else { '<' },
            if fortran { "True" } else { "False" },
            shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        );
        let bytes = npy_raw(&header, &body);
        let table = Dir::new().table(&if compress { gzip(&bytes) } else { bytes }).unwrap();
        prop_assert_eq!(table.shape(), &shape[..]);
        let kscan_dataset::Values::I32(values) = table.values() else { panic!() };
        prop_assert!(values.iter().copied().eq(0..count as i32));
    }
}
