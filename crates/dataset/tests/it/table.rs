//! What can be done with a table once it is read.

use kscan_dataset::{Builtin, DatasetError, Dtype, Source, Table, Values, load, write_npy};
use ndarray::{Array2, array};

use crate::util::{Dir, fixture, idx, npy, read};

fn table(values: impl Into<Values>) -> Table {
    Table::from_values(&Source::from("in-memory"), values.into()).unwrap()
}

#[test]
fn rows_are_converted_with_a_stride() {
    let table = table(Array2::from_shape_fn((5, 3), |(row, col)| (10 * row + col) as i16));
    let mut out = [-1.0; 11];
    table.copy_rows_f32(1..4, &mut out, 4);
    let padded = [10., 11., 12., -1., 20., 21., 22., -1., 30., 31., 32.];
    assert_eq!(out, padded);
    table.copy_rows_f32(5..5, &mut [], 3);
}

#[test]
fn every_dtype_is_rounded_to_nearest() {
    let converted = |table: &Table| {
        let mut out = [0.0; 2];
        table.copy_rows_f32(0..1, &mut out, 2);
        out
    };
    assert_eq!(converted(&table(array![[0_u8, 255]])), [0.0, 255.0]);
    assert_eq!(converted(&table(array![[i16::MIN, i16::MAX]])), [-32768.0, 32767.0]);
    // 2^24 + 1 is a tie and goes to the even neighbour, 2^24 + 3 as well.
    assert_eq!(
        converted(&table(array![[16_777_217_i32, 16_777_219]])),
        [16_777_216.0, 16_777_220.0]
    );
    assert_eq!(converted(&table(array![[16_777_217_i64, i64::MAX]])), [16_777_216.0, 9.223_372e18]);
    assert_eq!(converted(&table(array![[0.1_f32, -3.5]])), [0.1, -3.5]);
    assert_eq!(converted(&table(array![[0.1_f64, 1e-300]])), [0.1, 0.0]);
}

#[test]
fn threads_convert_disjoint_rows() {
    let table = table(Array2::from_shape_fn((100, 7), |(row, col)| (row * 7 + col) as f64));
    let mut out = vec![0.0; 700];
    std::thread::scope(|scope| {
        for (part, out) in out.chunks_mut(25 * 7).enumerate() {
            let table = &table;
            scope.spawn(move || table.copy_rows_f32(part * 25..(part + 1) * 25, out, 7));
        }
    });
    assert!(out.iter().enumerate().all(|(i, &v)| v == i as f32));
}

#[test]
#[should_panic(expected = "rows 4..6 are not among 5 rows")]
fn rows_out_of_range() {
    table(array![[1_u8], [2], [3], [4], [5]]).copy_rows_f32(4..6, &mut [0.0; 2], 1);
}

#[test]
#[should_panic(expected = "too few")]
fn too_short_an_output() {
    table(array![[1_u8, 2], [3, 4]]).copy_rows_f32(0..2, &mut [0.0; 4], 3);
}

#[test]
#[should_panic(expected = "a stride of 1 is less than 2 columns")]
fn too_small_a_stride() {
    table(array![[1_u8, 2], [3, 4]]).copy_rows_f32(0..2, &mut [0.0; 4], 1);
}

#[test]
fn values_in_memory_are_checked_like_those_of_files() {
    let origin = Source::from("x");
    let from = |values: Values| Table::from_values(&origin, values);
    let no_values = from(Array2::<u8>::zeros((0, 3)).into());
    assert!(matches!(no_values, Err(DatasetError::NoValues { .. })));
    let error = from(array![[0.0, 1.0], [2.0, 1e300]].into()).unwrap_err();
    assert!(matches!(error, DatasetError::BeyondF32 { row: 1, col: 1, .. }), "{error:?}");
    assert_eq!(error.origin(), &origin);

    // A transposed array is put into row-major order, so that fingerprints agree.
    let turned = from(array![[1_u8, 2, 3], [4, 5, 6]].reversed_axes().into()).unwrap();
    let plain = from(array![[1_u8, 4], [2, 5], [3, 6]].into()).unwrap();
    assert_eq!(turned.fingerprint(), plain.fingerprint());
    assert_eq!(turned.shape(), [3, 2]);
}

#[test]
fn fingerprints_tell_content_apart() {
    let dir = Dir::new();
    let body = [1, 2, 3, 4];
    let prints = [
        dir.table(&idx(0x08, &[2, 2], &body)),
        dir.table(&idx(0x08, &[2, 2, 1], &body)),
        dir.table(&idx(0x08, &[4], &body)),
        dir.table(&idx(0x08, &[4, 1], &body)),
        dir.table(&idx(0x08, &[1, 4], &body)),
        dir.table(&idx(0x08, &[2, 2], &[1, 2, 4, 3])),
        dir.table(&idx(0x0B, &[2, 1], &body)),
        dir.table(&idx(0x0C, &[1, 1], &body)),
        dir.table(&idx(0x0D, &[1, 1], &body)),
    ]
    .map(|table| table.unwrap().fingerprint());
    for (i, a) in prints.iter().enumerate() {
        assert!(!prints[..i].contains(a), "{i}");
    }
}

/// A scan's folder holds fingerprints, and is resumed by later versions: they must not change.
#[test]
fn fingerprints_stay_what_they_are() {
    let digits = load(&Source::Builtin(Builtin::Digits), None).unwrap();
    assert_eq!(
        digits.table.fingerprint().to_string(),
        "f7a963d186d938ed75c65e599df5108795173401c4f84d46a5061d7f8da6808e"
    );
    assert_eq!(
        digits.labels.unwrap().fingerprint().to_string(),
        "1180bcfef46194306352c80e144719fec3c693fcab9a12b326320d6915bb4237"
    );
    let floats = read(&fixture("f8-le-c.npy")).unwrap();
    assert_eq!(
        floats.fingerprint().to_string(),
        "bc342620e25a48f41d007a5249f5347562a0a4aaa7a943d13e8c1c925ce5e8eb"
    );
}

#[test]
fn dtypes_have_numpy_names() {
    for (dtype, name) in [
        (Dtype::U8, "uint8"),
        (Dtype::I16, "int16"),
        (Dtype::I32, "int32"),
        (Dtype::I64, "int64"),
        (Dtype::F32, "float32"),
        (Dtype::F64, "float64"),
    ] {
        assert_eq!(dtype.to_string(), name);
        let json = serde_json::to_string(&dtype).unwrap();
        assert_eq!(json, format!("\"{name}\""));
        assert_eq!(serde_json::from_str::<Dtype>(&json).unwrap(), dtype);
    }
}

#[test]
fn what_is_written_is_what_numpy_writes() {
    for kind in ["u1", "i2", "i4", "i8", "f4", "f8"] {
        let path = fixture(&format!("{kind}-le-c.npy"));
        let mut written = Vec::new();
        write_npy(&read(&path).unwrap(), &mut written).unwrap();
        let numpy = std::fs::read(&path).unwrap();
        let text = |bytes: &[u8]| {
            let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            let header = String::from_utf8(bytes[10..10 + length].to_vec()).unwrap();
            let (dictionary, _) = header.split_once('}').unwrap();
            let dictionary = dictionary.trim_end_matches([',', ' ']).to_owned();
            (dictionary, bytes[10 + length..].to_vec())
        };
        // The same bytes but for the padding and a comma.
        assert_eq!(text(&written), text(&numpy), "{kind}");
    }
}

#[test]
fn what_is_written_reads_back() {
    let dir = Dir::new();
    for path in ["f4-le-f.npy", "u2-be-c.npy", "i1-le-c.npy"].map(fixture) {
        let table = read(&path).unwrap();
        let mut written = Vec::new();
        write_npy(&table, &mut written).unwrap();
        assert_eq!(dir.table(&written).unwrap(), table);
    }
    let list = dir.table(&npy("<i2", "(2,)", &[1, 0, 2, 0])).unwrap();
    let mut written = Vec::new();
    write_npy(&list, &mut written).unwrap();
    assert_eq!(dir.table(&written).unwrap().shape(), [2]);
}

#[test]
fn a_full_disk_is_reported() {
    /// Takes a few bytes and then no more.
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for room in [0, 20, 130] {
        let error = write_npy(&table(array![[1.0_f64, 2.0]]), &mut Full(room)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{room}");
    }
}
