//! `report DIR`: a scan's tables once more, from scan.json, and its summary.

use super::print;
use crate::cli::FolderArgs;
use crate::exit::{Exit, Failure};
use crate::summary::summary;
use kscan_results::{RunFolder, ScanDocument, tables};

pub(crate) fn report(args: &FolderArgs) -> Result<Exit, Failure> {
    let folder = RunFolder::at(&args.dir);
    let scan = ScanDocument::read(&folder)?;
    tables::write_runs(&folder.runs_csv(), &scan.runs)?;
    tables::write_curve(&folder.curve_csv(), &scan.best)?;
    tables::write_elbow(&folder.elbow_csv(), &scan.elbow)?;
    tables::write_criteria(&folder.criteria_csv(), &scan.criteria)?;
    kscan_trace::write(&folder, &scan)?;
    print(&summary(&scan, &folder))?;
    Ok(Exit::Success)
}
