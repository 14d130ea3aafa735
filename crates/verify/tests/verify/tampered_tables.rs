//! Every cell of every CSV file.

use crate::scan::{Plan, Scan};
use std::path::Path;

/// Another text than `cell`, as near to it as can be.
fn other(cell: &str) -> String {
    if let Ok(number) = cell.parse::<u64>() {
        (number + 1).to_string()
    } else if let Ok(number) = cell.parse::<f64>() {
        number.next_up().to_string()
    } else {
        format!("{cell}1")
    }
}

fn write(path: &Path, lines: &[Vec<String>]) {
    let lines: Vec<String> = lines.iter().map(|cells| cells.join(",") + "\n").collect();
    std::fs::write(path, lines.concat()).unwrap();
}

#[test]
fn every_cell() {
    let scan = Scan::make(Plan::default());
    let mut files: Vec<String> =
        ["runs.csv", "curve.csv", "elbow.csv", "criteria.csv"].map(str::to_owned).to_vec();
    files.extend((2..=6).map(|k| format!("contingency/k{k:02}.csv")));
    for file in &files {
        let text = std::fs::read_to_string(scan.path(file)).unwrap();
        let lines: Vec<Vec<String>> =
            text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
        assert!(scan.verify_changed(file, |path| write(path, &lines)).is_none(), "{file}");
        let check = |lines: &[Vec<String>], case: &str| {
            let found = scan.verify_changed(file, |path| write(path, lines));
            let found = found.unwrap_or_else(|| panic!("{file}, {case}: unnoticed"));
            assert_eq!(found.file(), file, "{case}: {found}");
            found.to_string()
        };
        for row in 0..lines.len() {
            for column in 0..lines[0].len() {
                let mut changed = lines.clone();
                changed[row][column] = other(&lines[row][column]);
                let found = check(&changed, &format!("row {row}, column {column}"));
                let named = &lines[0][column];
                assert!(row == 0 || found.contains(named), "{named}: {found}");
            }
            if row > 0 {
                let mut changed = lines.clone();
                changed.remove(row);
                check(&changed, "a row less");
                let mut changed = lines.clone();
                changed.push(lines[row].clone());
                check(&changed, "a row more");
            }
        }
        check(&[], "empty");
        let mut changed = lines.clone();
        changed[1].pop();
        check(&changed, "a cell less");
    }
}
