//! What a person reads at the end: best per k, elbow, where things are.

use crate::exit::{escape, escape_lines, shown};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use kscan_report::text::inertia;
use kscan_results::{ElbowDocument, FoundElbow, RunFolder, RunStatus, ScanDocument, ScanStatus};
use kscan_select::{Rule, VerdictKind};
use std::fmt::Write;

/// The summary of a scan in `folder`.
pub(crate) fn summary(scan: &ScanDocument, folder: &RunFolder) -> String {
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{args}");
    };
    let elbow_k = scan.elbow.found().map(|elbow| elbow.k as u32);
    let data = &scan.data;
    line(format_args!(
        "{}: {} rows x {} columns ({} constant), {}",
        data.name, data.rows, data.cols, data.constant_cols, data.dtype
    ));
    line(format_args!("\n{}\n", best_table(scan, elbow_k)));
    match &scan.elbow {
        ElbowDocument::Found(FoundElbow { elbow, .. }) => line(format_args!(
            "elbow at k = {} (two straight lines fit with a mean R² of {:.4})",
            elbow.k,
            elbow.scores.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        )),
        ElbowDocument::None { reason, .. } => line(format_args!("no elbow: {reason}")),
    }
    for text in certainty(scan) {
        line(format_args!("{text}"));
    }
    let failed: Vec<_> = scan.runs.iter().filter(|run| run.status == RunStatus::Failed).collect();
    for run in &failed {
        line(format_args!(
            "{} failed after {} attempts: {}, see {}",
            run.run(),
            run.attempts,
            escape(run.error.as_deref().unwrap_or("no reason known")),
            shown(&folder.path().join(&run.log))
        ));
    }
    for reference in &scan.references {
        for run in &reference.failed {
            let log = folder.path().join(&reference.folder).join(&run.log);
            line(format_args!(
                "{} on the reference data {} failed after {} attempts: {}, see {}",
                run.run(),
                escape(&reference.folder),
                run.attempts,
                escape(&run.error),
                shown(&log)
            ));
        }
    }
    let ok = scan.runs.len() - failed.len();
    let planned = (scan.config.k_low..=scan.config.k_high).step_by(scan.config.k_step as usize);
    let planned = planned.count() * scan.config.n_init as usize;
    let references = scan.config.gap.map_or_else(String::new, |count| {
        format!(" and {} of {count} reference scans", scan.references.len())
    });
    let status = match scan.status {
        ScanStatus::Complete => "all done",
        ScanStatus::Partial => "some runs failed",
        ScanStatus::Interrupted => "interrupted",
    };
    line(format_args!(
        "{ok} of {planned} runs{references}, {status}: {:.1} s ({:.1} s preparing, {:.1} s running, {} \
         at a time)",
        scan.timing.wall_s,
        scan.timing.prepare_s,
        scan.timing.scan_s + scan.timing.reference_s,
        scan.config.n_proc
    ));
    line(format_args!("results in {}", shown(folder.path())));
    line(format_args!("report in {}", shown(&folder.report_html())));
    if scan.status == ScanStatus::Partial {
        line(format_args!("go on with: kscan-coord resume {}", shown(folder.path())));
    }
    escape_lines(&text)
}

/// How sure the elbow is, and what other rules choose.
fn certainty(scan: &ScanDocument) -> Vec<String> {
    let mut lines = Vec::new();
    if let ElbowDocument::Found(FoundElbow { elbow, confidence: Some(confidence) }) = &scan.elbow {
        lines.push(if let Some(reason) = &confidence.reason {
            format!("how sure: not known, {reason}")
        } else {
            let shares = elbow.threshold_k.iter().zip(&confidence.shares);
            let mut won: Vec<(&usize, &f64)> =
                shares.filter(|(_, share)| **share >= 0.005).collect();
            won.sort_by(|a, b| b.1.total_cmp(a.1));
            let won: Vec<String> =
                won.iter().map(|(k, share)| format!("{k} in {:.0}%", *share * 100.0)).collect();
            format!("how sure: with initialisations drawn again, {}", won.join(", "))
        });
    }
    let others = scan.choices.iter().filter(|choice| choice.rule != Rule::Elbow);
    let others: Vec<String> = others
        .map(|choice| match choice.k {
            Some(k) if choice.at_edge => format!("{} {k} (edge of the range)", choice.rule),
            Some(k) => format!("{} {k}", choice.rule),
            None => format!("{} none", choice.rule),
        })
        .collect();
    if !others.is_empty() {
        lines.push(format!("other rules: {}", others.join(", ")));
    }
    if let Some(verdict) = &scan.verdict {
        let reasons = verdict.reasons.join("; ");
        lines.push(match verdict.kind {
            VerdictKind::Agree => "verdict: the rules agree".to_owned(),
            VerdictKind::Disagree => format!("verdict: the rules disagree: {reasons}"),
            VerdictKind::NoElbow => format!("verdict: no elbow stands out: {reasons}"),
        });
    }
    lines
}

fn best_table(scan: &ScanDocument, elbow_k: Option<u32>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["k", "best inertia", "init_id", "iterations", "drop", ""]);
    let mut before: Option<f64> = None;
    for best in &scan.best {
        let drop = before.filter(|&before| before > 0.0).map_or_else(String::new, |before| {
            format!("{:.2}%", (before - best.inertia) / before * 100.0)
        });
        before = Some(best.inertia);
        let mark = if Some(best.k) == elbow_k { "◀ elbow" } else { "" };
        table.add_row(
            vec![
                best.k.to_string(),
                inertia(best.inertia),
                best.init_id.to_string(),
                best.n_iter.to_string(),
                drop,
                mark.to_owned(),
            ]
            .into_iter()
            .map(Cell::new),
        );
    }
    for column in table.column_iter_mut().take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
