//! `elbow CURVE.csv`: the elbow finder alone.

use super::print;
use crate::cli::ElbowArgs;
use crate::exit::{Exit, Failure};
use comfy_table::{Table, presets::NOTHING};
use kscan_results::{ElbowDocument, FoundElbow, tables};
use kscan_select::{CurvePoint, best_per_k, find_elbow};

pub(crate) fn elbow(args: &ElbowArgs) -> Result<Exit, Failure> {
    let rows = tables::read_curve(&args.curve)?;
    // A table with several rows a k, as runs.csv, is reduced first.
    let curve = best_per_k(rows.iter().map(|row| CurvePoint {
        k: row.k,
        inertia: row.inertia,
        init_id: row.init_id.map_or(0, |init_id| init_id as usize),
    }));
    let ks: Vec<usize> = curve.iter().map(|point| point.k).collect();
    let inertia: Vec<f64> = curve.iter().map(|point| point.inertia).collect();
    let found = find_elbow(&ks, &inertia);
    if args.json {
        let document = match found {
            Ok(elbow) => ElbowDocument::Found(FoundElbow { elbow, confidence: None }),
            Err(none) => ElbowDocument::None { k: None, reason: none.to_string() },
        };
        let json = serde_json::to_string_pretty(&document).expect("an elbow is plain data");
        print(&format!("{json}\n"))?;
        return Ok(Exit::Success);
    }
    match found {
        Ok(elbow) => {
            let mut table = Table::new();
            table.load_style(NOTHING);
            table.set_header(["k", "R² left", "R² right", "mean", ""]);
            for (i, &k) in elbow.threshold_k.iter().enumerate() {
                table.add_row([
                    k.to_string(),
                    format!("{:.6}", elbow.score_left[i]),
                    format!("{:.6}", elbow.score_right[i]),
                    format!("{:.6}", elbow.scores[i]),
                    if k == elbow.k { "◀ elbow".into() } else { String::new() },
                ]);
            }
            print(&format!("{table}\n\nelbow at k = {}\n", elbow.k))?;
        }
        Err(none) => print(&format!("no elbow: {none}\n"))?,
    }
    Ok(Exit::Success)
}
