//! `report DIR`: a scan's report, plots and tables once more, and its summary.

use super::print;
use super::run::check_image_shape;
use crate::cli::ReportArgs;
use crate::exit::{Exit, Failure};
use crate::scan::reduce;
use crate::summary::summary;
use kscan_report::Options;
use kscan_results::{Journal, RunFolder, ScanDocument, ScanStatus, TableFormat, tables};

pub(crate) fn report(args: &ReportArgs) -> Result<Exit, Failure> {
    let folder = RunFolder::at(&args.dir);
    let mut scan = ScanDocument::read(&folder)?;
    if let Some(shape) = args.image_shape {
        check_image_shape(shape, scan.data.cols)?;
    }
    // A scan that was killed, or still runs, has its last results in the journal alone.
    if scan.status == ScanStatus::Interrupted
        && let Ok(journal) = Journal::read(&folder.journal())
    {
        let (finished, failed) = journal.last_words();
        let all = finished.len() + failed.len();
        if scan.best.is_empty() || scan.runs.len() != all {
            reduce::fill_in(&mut scan, &finished, &failed);
        }
    }
    tables::write_runs(&folder.runs_csv(), &scan.runs)?;
    tables::write_curve(&folder.curve_csv(), &scan.best)?;
    tables::write_elbow(&folder.elbow_csv(), &scan.elbow)?;
    tables::write_criteria(&folder.criteria_csv(), &scan.criteria)?;
    if args.table.map_or(scan.config.table, Into::into) == TableFormat::Parquet {
        tables::write_parquet(&folder)?;
    }
    kscan_trace::write(&folder, &scan)?;
    kscan_report::write(&folder, &scan, &Options { image_shape: args.image_shape, png: args.png })?;
    print(&summary(&scan, &folder))?;
    Ok(Exit::Success)
}
