//! Data that cannot be clustered: a cause that names file, row and column, and nothing left behind.

use crate::harness::{Scratch, gzip, npy, npy_f64, npy_with_header};

/// So few clusters that a handful of rows is enough.
const FEW: &str = "--k-low 2 --k-high 3 -q";

/// Asserts that `data` is refused with all `words` in the cause, and that nothing is left.
#[track_caller]
fn refused(scratch: &Scratch, data: &str, options: &str, words: &[&str]) {
    let before = scratch.contents();
    let line = format!("run {data} --n-init 1 --out scan {options}");
    let refused = scratch.kscan(&line).run().exits(3);
    refused.names(words);
    assert_eq!(refused.stdout, "");
    assert_eq!(scratch.contents(), before, "something is left behind");
}

/// The same for a file of these bytes.
#[track_caller]
fn bytes_refused(name: &str, bytes: &[u8], words: &[&str]) {
    let scratch = Scratch::new();
    scratch.write(name, bytes);
    refused(&scratch, name, FEW, &[&[name], words].concat());
}

fn ordinary() -> Vec<u8> {
    npy_f64(&[[1.0, 2.0], [3.0, 4.0], [5.0, 7.0], [8.0, 1.0]])
}

/// Four rows of two bytes.
fn idx() -> Vec<u8> {
    [&[0, 0, 8, 2, 0, 0, 0, 4, 0, 0, 0, 2][..], &[1, 2, 3, 4, 5, 6, 7, 8]].concat()
}

#[test]
fn the_files_that_are_damaged_below_are_good_before() {
    let scratch = Scratch::new();
    scratch.write("good.npy", ordinary());
    scratch.write("good.idx", idx());
    scratch.write("good.gz", gzip(&ordinary()));
    for name in ["good.npy", "good.idx", "good.gz"] {
        let line = format!("run {name} --k-low 2 --k-high 3 --n-init 1 --out {name}.scan");
        scratch.kscan(&line).run().exits(0);
    }
}

#[test]
fn nan_and_infinity_are_refused_with_their_row_and_column() {
    for (value, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
        let mut rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0], [0.0, 1.0, 5.0]];
        rows[2][1] = value;
        bytes_refused("data.npy", &npy_f64(&rows), &[name, "row 2", "column 1"]);
    }
    let values: Vec<u8> = [1.0, 2.0, f32::NAN, 4.0].iter().flat_map(|x| x.to_be_bytes()).collect();
    let idx = [&[0, 0, 0x0d, 2, 0, 0, 0, 4, 0, 0, 0, 1][..], &values].concat();
    bytes_refused("data.idx", &idx, &["NaN", "row 2", "column 0"]);
    // In Fortran order the place in the file is another than that in the table.
    let columns = [1.0, 2.0, 3.0, 4.0, 5.0, f64::NAN, 7.0, 8.0];
    let values: Vec<u8> = columns.iter().flat_map(|x| x.to_le_bytes()).collect();
    bytes_refused("f.npy", &npy("<f8", true, &[4, 2], &values), &["row 1", "column 1"]);
}

#[test]
fn a_value_beyond_single_precision_is_refused_with_its_row_and_column() {
    let rows = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [1e300, 7.0]];
    bytes_refused("data.npy", &npy_f64(&rows), &["1e300", "row 3", "column 0"]);
}

#[test]
fn a_value_that_scaling_takes_beyond_single_precision_is_refused_and_nothing_is_left() {
    // Their difference is twice what a float32 can hold.
    let rows = [[1.0, 3e38], [2.0, -3e38], [3.0, -3e38], [4.0, -3e38], [5.0, -3e38]];
    bytes_refused("wide.npy", &npy_f64(&rows), &["row 0", "column 1"]);
}

#[test]
fn a_column_whose_deviation_is_no_float32_is_refused_and_nothing_is_left() {
    // The smallest float32 of all, once in a thousand rows.
    let mut values = vec![0.0_f32; 1000];
    values[17] = f32::from_bits(1);
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    bytes_refused("tiny.npy", &npy("<f4", false, &[1000, 1], &bytes), &["column 0"]);
}

#[test]
fn empty_files_are_refused() {
    bytes_refused("data.npy", b"", &["empty"]);
    bytes_refused("data.gz", &gzip(b""), &["empty"]);
    bytes_refused("none.npy", &npy("<f8", false, &[0, 3], b""), &["no rows"]);
    bytes_refused("none.npy", &npy("<f8", false, &[3, 0], b""), &["no columns"]);
}

#[test]
fn truncated_files_are_refused_at_every_length() {
    let npy = ordinary();
    let idx = idx();
    let gz = gzip(&npy);
    bytes_refused("data.npy", &npy[..npy.len() - 1], &["truncated", "192", "191"]);
    bytes_refused("data.idx", &idx[..idx.len() - 1], &["truncated", "20", "19"]);
    for cut in [1, 5, 7, 9, 30, 127] {
        bytes_refused("data.npy", &npy[..cut], &[]);
    }
    for cut in 1..idx.len() {
        bytes_refused("data.idx", &idx[..cut], &[]);
    }
    for cut in [1, 2, 9, gz.len() / 2, gz.len() - 8, gz.len() - 1] {
        bytes_refused("data.gz", &gz[..cut], &[]);
    }
}

#[test]
fn a_gzip_file_with_a_flipped_bit_is_refused() {
    let mut gz = gzip(&ordinary());
    // In the checksum of the content.
    let at = gz.len() - 6;
    gz[at] ^= 1;
    bytes_refused("data.gz", &gz, &["gzip", "damaged"]);
}

#[test]
fn what_is_no_data_file_is_refused() {
    bytes_refused("data.csv", b"1,2\n3,4\n5,6\n", &["31 2c 32"]);
    bytes_refused("data.npz", b"PK\x03\x04rest", &["50 4b 03 04"]);
    bytes_refused("data.npy", b"\x93NUMPX\x01\x00v\x00", &["93 4e 55"]);
    bytes_refused("data.idx", &[0, 0, 7, 1, 0, 0, 0, 4, 1, 2, 3, 4], &["00 00 07"]);
    bytes_refused("data.npy", b"\x93NUMPY\x09\x00v\x00", &["9.0"]);
}

#[test]
fn what_is_not_there_or_no_file_is_refused() {
    let scratch = Scratch::new();
    refused(&scratch, "missing.npy", FEW, &["missing.npy", "No such file"]);
    std::fs::create_dir(scratch.join("folder")).expect("a folder");
    refused(&scratch, "folder", FEW, &["folder", "directory"]);
    refused(&scratch, "digits", "--labels missing.npy", &["missing.npy", "No such file"]);
}

#[test]
fn dtypes_that_are_no_plain_numbers_are_refused() {
    for (descr, name) in [
        ("|O", "object"),
        ("<U3", "U3"),
        ("<c16", "complex"),
        ("<f2", "float16"),
        ("<u8", "uint64"),
        ("|b1", "bool"),
        ("<M8[s]", "datetime"),
    ] {
        bytes_refused("data.npy", &npy(descr, false, &[4, 2], &[0; 128]), &["dtype", name]);
    }
}

#[test]
fn hostile_headers_are_refused_at_once() {
    let header =
        |shape: &str| format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
    let cases: [(String, &[&str]); 9] = [
        (header("(1152921504606846976, 1152921504606846976)"), &["shape"]),
        (header("(4294967296, 1024)"), &["truncated"]),
        (header("(99999999999999999999999, 2)"), &[]),
        (header("(-4, 2)"), &[]),
        (header("()"), &["no dimensions"]),
        (header(&format!("{}4, 2{}", "(".repeat(500), ")".repeat(500))), &[]),
        (header("(4, 2"), &[]),
        ("{'descr': '<f8'}".to_owned(), &[]),
        ("__import__('os').system('true')".to_owned(), &[]),
    ];
    for (header, words) in cases {
        bytes_refused("data.npy", &npy_with_header(&header, &[0; 64]), words);
    }
    let mut long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec();
    long.extend([b' '; 100]);
    bytes_refused("long.npy", &long, &["header"]);
    let idx = [0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2];
    bytes_refused("huge.idx", &idx, &[]);
    bytes_refused("huge.gz", &gzip(&idx), &[]);
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut bytes = ordinary();
    bytes.push(0);
    bytes_refused("data.npy", &bytes, &["more bytes"]);
}

#[test]
fn fewer_rows_than_clusters_are_refused() {
    let scratch = Scratch::new();
    scratch.write("data.npy", ordinary());
    refused(&scratch, "data.npy", "--k-low 2 --k-high 5", &["data", "4 rows", "k = 5"]);
    scratch.kscan("run data.npy --k-low 4 --k-high 4 --n-init 1 --out four").run().exits(0);
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let labels = |values: &[f64]| {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        npy("<f8", false, &[values.len()], &bytes)
    };
    let scratch = Scratch::new();
    scratch.write("data.npy", ordinary());
    scratch.write("three.npy", labels(&[1.0, 2.0, 1.0]));
    scratch.write("half.npy", labels(&[1.0, 2.0, 0.5, 1.0]));
    scratch.write("nan.npy", labels(&[1.0, f64::NAN, 0.0, 1.0]));
    scratch.write("square.npy", npy_f64(&[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]));
    let with = |name: &str, words: &[&str]| {
        refused(
            &scratch,
            "data.npy",
            &format!("{FEW} --labels {name}"),
            &[&[name], words].concat(),
        );
    };
    with("three.npy", &["3 labels", "4 rows", "data.npy"]);
    with("half.npy", &["0.5", "row 2"]);
    with("nan.npy", &["NaN", "row 1"]);
    with("square.npy", &["shape"]);
}

#[test]
fn control_characters_in_a_file_name_do_not_reach_the_terminal() {
    let scratch = Scratch::new();
    let name = "a\u{1b}[2J\nb\u{9b}c.npy";
    let kscan = || scratch.kscan("run --k-low 2 --k-high 2 --out scan").arg(name);
    // `cause` asserts that there are none.
    let missing = kscan().run().exits(3);
    assert!(missing.cause().contains("\\u{1b}[2J\\nb"), "{}", missing.stderr);
    scratch.write(name, b"text");
    let wrong = kscan().run().exits(3);
    assert!(wrong.cause().contains("\\u{1b}[2J\\nb"), "{}", wrong.stderr);
}
