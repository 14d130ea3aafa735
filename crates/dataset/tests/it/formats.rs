//! Every format, dtype, order and compression gives the same values.

use kscan_dataset::{Dtype, Source, Table, Values, load};
use ndarray::Array2;

use crate::util::{Dir, f32_le, fixture, gzip, idx, npy, npy_raw, read};

/// The unsigned values of the fixtures, row-major.
fn unsigned() -> impl Iterator<Item = u8> {
    (0..24).map(|i| 7 * i)
}

/// The signed values of the fixtures, row-major; those of floating point are a quarter.
fn signed() -> impl Iterator<Item = i8> {
    unsigned().map(|v| (i16::from(v) - 40) as i8)
}

/// The values of a fixture as they should be read.
fn expected(kind: &str) -> Values {
    fn rows<T>(values: impl Iterator<Item = T>) -> Values
    where
        Values: From<Array2<T>>,
    {
        Array2::from_shape_vec((3, 8), values.collect()).unwrap().into()
    }
    match kind {
        "u1" => rows(unsigned()),
        "u2" => rows(unsigned().map(i32::from)),
        "u4" => rows(unsigned().map(i64::from)),
        "i1" | "i2" => rows(signed().map(i16::from)),
        "i4" => rows(signed().map(i32::from)),
        "i8" => rows(signed().map(i64::from)),
        "f4" => rows(signed().map(|v| f32::from(v) / 4.0)),
        "f8" => rows(signed().map(|v| f64::from(v) / 4.0)),
        _ => unreachable!("{kind}"),
    }
}

#[test]
fn numpy_files_of_every_dtype_and_order() {
    for (kind, dtype) in [
        ("u1", Dtype::U8),
        ("i1", Dtype::I16),
        ("i2", Dtype::I16),
        ("u2", Dtype::I32),
        ("i4", Dtype::I32),
        ("u4", Dtype::I64),
        ("i8", Dtype::I64),
        ("f4", Dtype::F32),
        ("f8", Dtype::F64),
    ] {
        let c = read(&fixture(&format!("{kind}-le-c.npy"))).unwrap();
        assert_eq!(c.dtype(), dtype, "{kind}");
        assert_eq!((c.rows(), c.cols(), c.shape()), (3, 8, &[3, 2, 4][..]), "{kind}");
        assert_eq!(c.values(), &expected(kind), "{kind}");

        for other in ["le-f", "be-c"] {
            let path = fixture(&format!("{kind}-{other}.npy"));
            if other == "be-c" && kind.ends_with('1') {
                assert!(!path.exists(), "a single byte has no order");
                continue;
            }
            let table = read(&path).unwrap();
            assert_eq!(table, c, "{kind} {other}");
            assert_eq!(table.fingerprint(), c.fingerprint(), "{kind} {other}");
        }
    }
}

#[test]
fn numpy_files_of_every_version() {
    let first = read(&fixture("i4-le-c.npy")).unwrap();
    assert_eq!(read(&fixture("version-2.npy")).unwrap(), first);
    assert_eq!(read(&fixture("version-3.npy")).unwrap(), first);
}

#[test]
fn idx_files_of_every_dtype() {
    let dir = Dir::new();
    let files: [(u8, &str, Vec<u8>); 6] = [
        (0x08, "u1", unsigned().collect()),
        (0x09, "i1", signed().flat_map(i8::to_be_bytes).collect()),
        (0x0B, "i2", signed().flat_map(|v| i16::from(v).to_be_bytes()).collect()),
        (0x0C, "i4", signed().flat_map(|v| i32::from(v).to_be_bytes()).collect()),
        (0x0D, "f4", signed().flat_map(|v| (f32::from(v) / 4.0).to_be_bytes()).collect()),
        (0x0E, "f8", signed().flat_map(|v| (f64::from(v) / 4.0).to_be_bytes()).collect()),
    ];
    for (type_byte, kind, body) in files {
        let table = dir.table(&idx(type_byte, &[3, 2, 4], &body)).unwrap();
        assert_eq!(table.values(), &expected(kind), "{kind}");
        let same = read(&fixture(&format!("{kind}-le-c.npy"))).unwrap();
        assert_eq!(table, same, "{kind}");
        assert_eq!(table.fingerprint(), same.fingerprint(), "{kind}");
    }

    let bytes = dir.table(&idx(0x09, &[2, 2], &[0x80, 0xff, 0x00, 0x7f])).unwrap();
    assert_eq!(bytes.values(), &Values::I16(ndarray::array![[-128, -1], [0, 127]]));
}

#[test]
fn compression_and_names_do_not_matter() {
    let dir = Dir::new();
    let npy = std::fs::read(fixture("f4-le-f.npy")).unwrap();
    let plain = dir.table(&npy).unwrap();
    assert_eq!(dir.table(&gzip(&npy)).unwrap(), plain);
    assert_eq!(read(&dir.file("misleading-idx3-ubyte", &gzip(&npy))).unwrap(), plain);
    assert_eq!(read(&dir.file("misleading.gz", &npy)).unwrap(), plain);

    // A gzip file may have several members; here the header itself is split between them.
    let members = [&npy[..9], &npy[9..150], &npy[150..]].map(gzip).concat();
    assert_eq!(dir.table(&members).unwrap(), plain);

    let idx = idx(0x08, &[2, 3], &[1, 2, 3, 4, 5, 6]);
    let values = Values::U8(ndarray::array![[1, 2, 3], [4, 5, 6]]);
    assert_eq!(dir.table(&idx).unwrap().values(), &values);
    assert_eq!(dir.table(&gzip(&idx)).unwrap().values(), &values);
    assert_eq!(read(&dir.file("misleading.npy.gz", &idx)).unwrap().values(), &values);
}

#[test]
fn arrays_of_any_number_of_dimensions() {
    let dir = Dir::new();
    let shape = |table: &Table| (table.rows(), table.cols(), table.shape().to_vec());
    let one = dir.table(&npy("<f4", "(3,)", &f32_le(&[1.0, 2.0, 3.0]))).unwrap();
    assert_eq!(shape(&one), (3, 1, vec![3]));
    let two = dir.table(&npy("<f4", "(1, 3)", &f32_le(&[1.0, 2.0, 3.0]))).unwrap();
    assert_eq!(shape(&two), (1, 3, vec![1, 3]));
    let five = dir.table(&idx(0x08, &[2, 1, 2, 1, 2], &[0, 1, 2, 3, 4, 5, 6, 7])).unwrap();
    assert_eq!(shape(&five), (2, 4, vec![2, 1, 2, 1, 2]));
    assert_eq!(five.values(), &Values::U8(ndarray::array![[0, 1, 2, 3], [4, 5, 6, 7]]));

    // numpy says "Fortran" of arrays that are both, such as those of one dimension.
    let header = "{'descr': '<f4', 'fortran_order': True, 'shape': (3,), }";
    let both = dir.table(&npy_raw(header, &f32_le(&[1.0, 2.0, 3.0]))).unwrap();
    assert_eq!(both, one);
}

#[test]
fn arrays_larger_than_one_piece() {
    let dir = Dir::new();
    let (rows, cols) = (1_501, 131);
    let value = |row: usize, col: usize| (row * 1_000 + col) as i32;
    let table = Array2::from_shape_fn((rows, cols), |(row, col)| value(row, col));
    let c: Vec<u8> = table.iter().flat_map(|v| v.to_le_bytes()).collect();
    let fortran: Vec<u8> = table.t().iter().flat_map(|v| v.to_be_bytes()).collect();
    let c = npy("<i4", "(1501, 131)", &c);
    let header = "{'descr': '>i4', 'fortran_order': True, 'shape': (1501, 131), }";
    let fortran = npy_raw(header, &fortran);
    let expected = Values::I32(table);
    for bytes in [&c, &fortran, &gzip(&c), &gzip(&fortran)] {
        assert!(dir.table(bytes).unwrap().values() == &expected);
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_like_a_file() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let bytes = std::fs::read(fixture("f8-le-f.npy")).unwrap();
    for bytes in [bytes.clone(), gzip(&bytes)] {
        // cat holds the pipe's other end, whose length nobody knows beforehand.
        let mut cat =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        cat.stdin.take().unwrap().write_all(&bytes).unwrap();
        let pipe = std::os::fd::AsRawFd::as_raw_fd(cat.stdout.as_ref().unwrap());
        let table = read(format!("/proc/self/fd/{pipe}").as_ref()).unwrap();
        assert_eq!(table, read(&fixture("f8-le-c.npy")).unwrap());
        cat.wait().unwrap();
    }
}

#[test]
fn the_name_comes_from_the_file() {
    let dir = Dir::new();
    let path = dir.file("my set-idx2-ubyte.gz", &gzip(&idx(0x08, &[1, 1], &[0])));
    assert_eq!(load(&Source::from(path), None).unwrap().name, "my-set");
}
