//! The same values in every format that is read.

use crate::harness::{Digests, Scratch, digits, gzip, npy};

const ROWS: usize = 300;
const COLS: usize = 64;

fn digests_of(bytes: &[u8]) -> Digests {
    let scratch = Scratch::new();
    scratch.write("data", bytes);
    scratch.kscan("run data --k-low 4 --k-high 5 --n-init 1 --out scan").run().exits(0);
    scratch.scan("scan").digests()
}

#[test]
fn the_same_values_give_the_same_digests_in_every_format() {
    let (x, _) = digits();
    let rows: Vec<u8> = x.iter().copied().take(ROWS * COLS).collect();
    let columns: Vec<u8> =
        (0..COLS).flat_map(|j| (0..ROWS).map(move |i| i * COLS + j)).map(|at| rows[at]).collect();
    let stored = |values: &[u8], descr: &str| -> Vec<u8> {
        let each = values.iter().copied();
        match descr {
            "|u1" => values.to_vec(),
            "<i2" => each.flat_map(|x| i16::from(x).to_le_bytes()).collect(),
            "<i4" => each.flat_map(|x| i32::from(x).to_le_bytes()).collect(),
            "<i8" => each.flat_map(|x| i64::from(x).to_le_bytes()).collect(),
            "<f4" => each.flat_map(|x| f32::from(x).to_le_bytes()).collect(),
            "<f8" => each.flat_map(|x| f64::from(x).to_le_bytes()).collect(),
            ">i2" => each.flat_map(|x| i16::from(x).to_be_bytes()).collect(),
            ">i4" => each.flat_map(|x| i32::from(x).to_be_bytes()).collect(),
            ">f4" => each.flat_map(|x| f32::from(x).to_be_bytes()).collect(),
            ">f8" => each.flat_map(|x| f64::from(x).to_be_bytes()).collect(),
            _ => unreachable!("{descr} is none of those below"),
        }
    };
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for descr in ["|u1", "<i2", "<i4", "<i8", "<f4", "<f8", ">f8"] {
        let shape = [ROWS, COLS];
        let in_rows = npy(descr, false, &shape, &stored(&rows, descr));
        files.push((format!("npy {descr} C"), in_rows));
        let in_columns = npy(descr, true, &shape, &stored(&columns, descr));
        files.push((format!("npy {descr} Fortran"), in_columns));
    }
    for (kind, descr) in [(0x08, "|u1"), (0x0b, ">i2"), (0x0c, ">i4"), (0x0d, ">f4"), (0x0e, ">f8")]
    {
        let mut idx = vec![0, 0, kind, 2];
        for size in [ROWS, COLS] {
            idx.extend(u32::try_from(size).expect("small").to_be_bytes());
        }
        idx.extend(stored(&rows, descr));
        files.push((format!("idx {descr}"), idx));
    }
    let expected = digests_of(&files[0].1);
    assert_eq!(expected.len(), 2);
    for (name, bytes) in &files {
        assert_eq!(digests_of(bytes), expected, "{name}");
        assert_eq!(digests_of(&gzip(bytes)), expected, "{name}, compressed");
    }
}

#[test]
fn images_are_rows_and_the_built_in_digits_are_scikit_learns() {
    let scratch = Scratch::new();
    let (x, y) = digits();
    let pixels: Vec<u8> = x.iter().copied().collect();
    scratch.write("images.npy", npy("|u1", false, &[1797, 8, 8], &pixels));
    let labels: Vec<u8> = y.iter().flat_map(|y| y.to_le_bytes()).collect();
    scratch.write("labels.npy.gz", gzip(&npy("<i8", false, &[1797], &labels)));
    let options = "--k-low 6 --k-high 6 --n-init 2";
    scratch
        .kscan(&format!("run images.npy --labels labels.npy.gz {options} --out ours"))
        .run()
        .exits(0);
    scratch.kscan(&format!("run digits {options} --out theirs")).run().exits(0);
    assert_eq!(scratch.scan("ours").digests(), scratch.scan("theirs").digests());
    let read = |scan: &str| std::fs::read(scratch.join(scan).join("contingency/k06.csv"));
    assert_eq!(read("ours").expect("a table"), read("theirs").expect("a table"));
}
