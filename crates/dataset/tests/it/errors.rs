//! Every way in which a file can be wrong has its own error, text and hint.

use std::fs;
use std::io;
use std::path::Path;

use kscan_dataset::{DatasetError, Source, load};

use crate::util::{
    Dir, assert_presentable, f32_le, f64_le, fixture, gzip, idx, npy, npy_raw, read,
};

fn error_of(path: &Path) -> DatasetError {
    let error = read(path).expect_err("the file should not be readable");
    assert_presentable(&error);
    error
}

#[test]
fn what_cannot_be_opened() {
    let dir = Dir::new();
    let error = error_of(&dir.path().join("nothing"));
    let DatasetError::Io { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
    assert!(error.hint().contains("mnist and digits"), "{}", error.hint());
    assert!(std::error::Error::source(&error).is_some());

    let error = error_of(dir.path());
    let DatasetError::Io { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), io::ErrorKind::IsADirectory);
    assert!(error.hint().contains("directory"), "{}", error.hint());
}

#[cfg(unix)]
#[test]
fn what_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = Dir::new();
    let path = dir.file("secret.npy", b"x");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        return; // The superuser may read anything.
    }
    let error = error_of(&path);
    let DatasetError::Io { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn empty_files() {
    let dir = Dir::new();
    assert!(matches!(dir.error(b""), DatasetError::Empty { .. }));
    assert!(matches!(dir.error(&gzip(b"")), DatasetError::Empty { .. }));
}

#[test]
fn unknown_formats_show_their_first_bytes_and_what_is_read() {
    let dir = Dir::new();
    for (bytes, shown, hint) in [
        (&b"1.0,2.0\n"[..], "31 2e 30 2c 32 2e", "CSV"),
        (b"PK\x03\x04\x14\x00\x00", "50 4b 03 04 14 00", ".npz"),
        (b"\x28\xb5\x2f\xfd\x04\x00\x00", "28 b5 2f fd 04 00", "only gzip"),
        (b"\x89HDF\r\n\x1a\n", "89 48 44 46 0d 0a", "numpy.save"),
        (b"\x00\x00\x07\x01\x00\x00\x00\x00", "00 00 07 01 00 00", "numpy.save"),
        (b"\x93NUM", "93 4e 55 4d", "numpy.save"),
        (b"\x00\x00\x08", "00 00 08", "numpy.save"),
        (b"\x1f", "1f", "numpy.save"),
    ] {
        for bytes in [bytes, &gzip(bytes)] {
            let error = dir.error(bytes);
            assert!(matches!(error, DatasetError::UnknownFormat { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(&format!("the bytes {shown},")), "{text}");
            assert!(text.contains("IDX and .npy files are read, plain or gzip"), "{text}");
            assert!(error.hint().contains(hint), "{shown}: {}", error.hint());
        }
    }
    let twice = dir.error(&gzip(&gzip(&idx(0x08, &[1], &[1]))));
    assert!(twice.hint().contains("twice"), "{}", twice.hint());
}

#[test]
fn truncated_files_say_how_much_is_missing() {
    let dir = Dir::new();
    let truncated = |bytes: &[u8], expected_bytes: usize, found_bytes: usize| {
        let error = dir.error(bytes);
        let DatasetError::Truncated { expected, found, .. } = error else { panic!("{error:?}") };
        assert_eq!((expected, found), (expected_bytes as u64, found_bytes as u64));
        let text = format!("truncated: {expected_bytes} bytes expected, {found_bytes} found");
        assert!(error.to_string().contains(&text), "{error}");
    };
    let whole_idx = idx(0x0C, &[2, 3], &[7; 24]);
    let whole_npy = npy("<f8", "(2, 2)", &f64_le(&[1.0, 2.0, 3.0, 4.0]));
    for whole in [&whole_idx, &whole_npy] {
        // Cut among the values, also where a value or a row ends.
        for missing in [1, 4, 8, 23] {
            let cut = &whole[..whole.len() - missing];
            truncated(cut, whole.len(), cut.len());
            truncated(&gzip(cut), whole.len(), cut.len());
        }
    }
    // Cut in the header: what is expected is then as much as can be known.
    truncated(&whole_idx[..11], 12, 11);
    truncated(&whole_npy[..7], 8, 7);
    truncated(&whole_npy[..9], 10, 9);
    truncated(&whole_npy[..30], whole_npy.len() - 32, 30);

    // The compressed stream itself is cut, so that its content is.
    let body: Vec<u8> =
        (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let whole = idx(0x08, &[100, 1000], &body);
    let compressed = gzip(&whole);
    let error = dir.error(&compressed[..compressed.len() / 2]);
    let DatasetError::Truncated { expected, found, .. } = error else { panic!("{error:?}") };
    assert_eq!(expected, whole.len() as u64);
    assert!(found > 10_000 && found < 90_000, "{found}");
}

#[test]
fn trailing_bytes_are_not_ignored() {
    let dir = Dir::new();
    for whole in [idx(0x08, &[2, 2], &[1, 2, 3, 4]), npy("<f4", "(1,)", &f32_le(&[1.0]))] {
        let longer = [&whole[..], b"x"].concat();
        for bytes in [&longer, &gzip(&longer), &[gzip(&whole), gzip(b"x")].concat()] {
            let error = dir.error(bytes);
            let DatasetError::TrailingBytes { expected, .. } = error else { panic!("{error:?}") };
            assert_eq!(expected, whole.len() as u64);
        }
    }
}

#[test]
fn damaged_gzip_streams() {
    let dir = Dir::new();
    let good = gzip(&idx(0x08, &[2, 2], &[1, 2, 3, 4]));
    let damaged = |bytes: &[u8]| {
        let error = dir.error(bytes);
        assert!(matches!(error, DatasetError::Gzip { .. }), "{error:?}");
        assert!(std::error::Error::source(&error).is_some());
    };
    let mut checksum = good.clone();
    *checksum.iter_mut().nth_back(6).unwrap() ^= 1;
    damaged(&checksum);
    let mut length = good.clone();
    *length.last_mut().unwrap() ^= 1;
    damaged(&length);
    // All values are there, and the checksum is not.
    damaged(&good[..good.len() - 3]);
    damaged(&good[..2]);
    damaged(&good[..10]);
    let mut method = good.clone();
    method[2] = 7;
    damaged(&method);
    let mut deflate = good.clone();
    deflate[10] = 0xff;
    damaged(&deflate);
    damaged(&[&good[..], b"no member"].concat());
}

#[test]
fn dtypes_that_are_not_read_are_named() {
    for (name, dtype) in [
        ("bad-bool", "bool ('|b1')"),
        ("bad-complex128", "complex128 ('<c16')"),
        ("bad-float16", "float16 ('<f2')"),
        ("bad-uint64", "uint64 ('<u8')"),
        ("bad-datetime", "datetime ('<M8[ns]')"),
        ("bad-unicode", "unicode string ('<U1')"),
        ("bad-bytes", "byte string ('|S1')"),
        ("bad-object", "object ('|O')"),
        ("bad-structured", "structured ([('a', '<f4'), ('b', '<i2', (2,))])"),
    ] {
        let error = error_of(&fixture(&format!("{name}.npy")));
        let DatasetError::UnsupportedDtype { dtype: found, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(found, dtype);
        assert!(error.to_string().contains(dtype), "{error}");
        assert!(error.hint().contains("astype"), "{}", error.hint());
    }
    // Types that numpy never writes, with nothing to say their byte order by.
    let dir = Dir::new();
    for descr in ["|i4", "=f8", "f8", "", "<", "<é", "<f99999999999", "<\\n\\x1b[31m"] {
        let error = dir.error(&npy(descr, "(1,)", &[0; 8]));
        assert!(
            matches!(error, DatasetError::UnsupportedDtype { .. } | DatasetError::NpyHeader { .. }),
            "{error:?}"
        );
        assert!(error.to_string().chars().all(|c| !c.is_control()), "{error:?}");
    }
    let long = dir.error(&npy(&"x".repeat(5_000), "(1,)", &[0; 8])).to_string();
    assert!(long.len() < 300 && long.contains('…'), "{long}");
}

#[test]
fn arrays_without_rows_or_columns() {
    let dir = Dir::new();
    let error = error_of(&fixture("zero-dimensional.npy"));
    assert!(matches!(error, DatasetError::NoDimensions { .. }), "{error:?}");
    assert!(matches!(dir.error(&idx(0x08, &[], &[5])), DatasetError::NoDimensions { .. }));

    let error = error_of(&fixture("no-rows.npy"));
    assert!(error.to_string().contains("[0, 5]"), "{error}");
    for shape in [&[0][..], &[5, 0], &[5, 2, 0], &[0, u32::MAX, u32::MAX, u32::MAX]] {
        let error = dir.error(&idx(0x08, shape, &[]));
        assert!(matches!(error, DatasetError::NoValues { .. }), "{error:?}");
    }
}

#[test]
fn malformed_npy_headers() {
    let dir = Dir::new();
    let reason_of = |bytes: &[u8]| match dir.error(bytes) {
        DatasetError::NpyHeader { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    for (header, reason) in [
        ("", "not a python dictionary"),
        ("{'descr': '<f4', ", "not a python dictionary"),
        ("['descr']", "not a dict"),
        ("{'fortran_order': False, 'shape': (1,)}", "missing key: descr"),
        ("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}", "fortran_order"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1.5,)}", "shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", "unknown key"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "shape"),
        ("{'descr': '<f4é', 'fortran_order': False, 'shape': (1,)}", "non-ascii"),
    ] {
        let found = reason_of(&npy_raw(header, &f32_le(&[1.0])));
        assert!(found.contains(reason), "{header}: {found}");
    }
    let mut version = npy("<f4", "(1,)", &f32_le(&[1.0]));
    version[6] = 9;
    assert_eq!(reason_of(&version), "unknown version 9.0");
    let long = npy_raw(&" ".repeat(20_000), &[]);
    assert!(reason_of(&long).contains("20001 bytes, and at most 10000"));
    let mut no_newline = npy_raw("{}", &[]);
    *no_newline.last_mut().unwrap() = b' ';
    assert!(reason_of(&no_newline).contains("newline"));
}

#[test]
fn values_that_are_not_finite_are_located() {
    let dir = Dir::new();
    for (value, text) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
        let mut values = [0.0; 12];
        values[7] = value;
        values[11] = f64::NAN;
        let single = values.map(|v| v as f32);
        for bytes in [
            npy("<f8", "(3, 2, 2)", &f64_le(&values)),
            npy("<f4", "(3, 4)", &f32_le(&single)),
            gzip(&npy("<f4", "(3, 4)", &f32_le(&single))),
        ] {
            let error = dir.error(&bytes);
            let DatasetError::NonFinite { row, col, .. } = error else { panic!("{error:?}") };
            assert_eq!((row, col), (1, 3));
            let place = format!("the value {text} in row 1, column 3 (counted from 0)");
            assert!(error.to_string().contains(&place), "{error}");
        }
    }
    // The place is that in the rows and columns, not that in the file.
    let header = "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }";
    let error = dir.error(&npy_raw(header, &f64_le(&[0.0, 0.0, 0.0, f64::NAN, 0.0, 0.0])));
    assert!(matches!(error, DatasetError::NonFinite { row: 1, col: 1, .. }), "{error:?}");
}

#[test]
fn values_beyond_single_precision_are_located() {
    let dir = Dir::new();
    let largest = f64::from(f32::MAX);
    // The first f64 that rounds up to infinity lies half a step above the largest f32.
    let half_step = 2.0_f64.powi(103);
    for value in [1e300, -1e39, largest + half_step] {
        let error = dir.error(&npy("<f8", "(2, 2)", &f64_le(&[0.0, 0.0, value, f64::NAN])));
        let DatasetError::BeyondF32 { value: found, row: 1, col: 0, .. } = error else {
            panic!("{error:?}")
        };
        assert!(found == value);
        assert!(error.to_string().contains("row 1, column 0 (counted from 0)"), "{error}");
    }
    for value in [largest, -largest, (largest + half_step).next_down(), 1e-300, f64::MIN_POSITIVE] {
        dir.table(&npy("<f8", "(1,)", &f64_le(&[value]))).unwrap();
    }
}

#[test]
fn the_number_of_labels_is_that_of_the_rows() {
    let dir = Dir::new();
    let data = dir.file("x.npy", &npy("<f4", "(3,)", &f32_le(&[1.0, 2.0, 3.0])));
    let labels = dir.file("y.npy", &npy("|u1", "(2,)", &[0, 1]));
    let error = load(&Source::from(data.clone()), Some(&labels)).unwrap_err();
    assert_presentable(&error);
    let DatasetError::LabelsCount { labels: 2, rows: 3, .. } = error else { panic!("{error:?}") };
    assert_eq!(error.origin(), &Source::from(labels.clone()));
    let text = format!("{}: 2 labels, but {} has 3 rows", labels.display(), data.display());
    assert_eq!(error.to_string(), text);

    let error = load(&Source::from("digits"), Some(&labels)).unwrap_err();
    assert!(
        error.to_string().ends_with("2 labels, but built-in set digits has 1797 rows"),
        "{error}"
    );
}

#[test]
fn of_very_many_dimensions_the_first_are_told() {
    let dir = Dir::new();
    let text = dir.error(&idx(0x08, &[2; 255], &[0; 100])).to_string();
    assert!(text.contains("[2, 2, 2, 2, 2, 2, 2, 2, ...] (255 dimensions)"), "{text}");
    let text = dir.error(&idx(0x08, &[u32::MAX; 8], &[])).to_string();
    assert!(text.contains("4294967295]") && !text.contains("..."), "{text}");
}
