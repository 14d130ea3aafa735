//! Making the file.

use crate::SharedError;
use crate::layout::{IndexHeader, Layout, Section, Shape, Sparse};
use crate::map::SharedMap;
use crate::mapping::{Mapping, NewMapping, SEALS};
use crate::scaler::Scaler;
use kscan_dataset::{Dtype, Table, Values};
use kscan_kmeans::Magnitudes;
use kscan_kmeans::exact_sum::SumGrid;
use kscan_kmeans::index::{Layout as IndexLayout, Line, Plan, RowsMut};
use kscan_kmeans::{CodedRows, Fours, Rows, Simd, SparseRows, Statistics, side_by_side};
use ndarray::Axis;
use rustix::fs::{FallocateFlags, MemfdFlags, Mode, SealFlags};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Rows that are asked which fours are the fewest.
const SAMPLE: usize = 128;

/// Where the shared file is to be.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// Nowhere: in memory, gone with the last process that has it open.
    Anonymous,
    /// The same, and a copy at this path, which stays. Nobody maps the copy: whoever cut it would
    /// end its readers by a signal.
    Named(&'a Path),
}

/// The coordinator's hold on the shared file.
#[derive(Debug)]
pub struct SharedFile {
    /// Keeps the file in being, and its path good.
    _file: File,
    path: PathBuf,
    map: SharedMap,
}

impl SharedFile {
    /// Scales `table` into a new shared file, with the index whose parts `index` names, on `threads`
    /// threads.
    ///
    /// # Errors
    /// Where there is no room for it, the place is not to be written to, or a scaled value is not
    /// finite. A copy that was begun is removed again.
    pub fn create(
        place: Place<'_>,
        table: &Table,
        scaler: &Scaler,
        index: Option<IndexLayout>,
        simd: Simd,
        threads: usize,
    ) -> Result<Self, SharedError> {
        let shape = Shape { n: table.rows(), d: table.cols() };
        // How many limbs sums take is known only of the scaled rows: room for the most.
        let coded = may_be_coded(table.dtype(), index) && CodedRows::pay(simd);
        let sparse = index.filter(|index| coded && index.leading() != *index);
        let sparse = sparse.and_then(|_| sparse_starts(table, threads));
        let (sparse, starts) = sparse.unzip();
        // Codes without zeros tell what the rest of the coordinates would.
        let index = index.map(|index| if sparse.is_some() { index.leading() } else { index });
        let starts = starts.unwrap_or_default();
        let limbs = kscan_kmeans::exact_sum::MAX_LIMBS;
        let widest = Layout::new(shape, coded, sparse, limbs, index);
        let bytes = widest.map_or(u64::MAX, |layout| layout.file_len() as u64);
        let fail_at =
            |place: &str, source| SharedError::Create { place: place.to_owned(), bytes, source };
        let fail = |source| fail_at("memory", source);
        let widest = widest.ok_or_else(|| fail(io::ErrorKind::OutOfMemory.into()))?;
        // First of all, so that a place that will not do costs no time.
        let copy = match place {
            Place::Anonymous => None,
            Place::Named(path) => {
                let fail = |source| fail_at(&path.display().to_string(), source);
                Some((Copy::begin(path, bytes).map_err(fail)?, fail))
            }
        };
        let shared =
            Self::write(&widest, &starts, table, scaler, simd, threads).map_err(|failure| {
                match failure {
                    Failure::System(source) => fail(source),
                    Failure::NotFinite { row, column } => SharedError::NotFinite { row, column },
                }
            })?;
        if let Some((copy, fail)) = copy {
            copy.finish(shared.map.bytes()).map_err(fail)?;
        }
        Ok(shared)
    }

    fn write(
        widest: &Layout,
        starts: &[u32],
        table: &Table,
        scaler: &Scaler,
        simd: Simd,
        threads: usize,
    ) -> Result<Self, Failure> {
        let shape = widest.shape;
        let bytes = widest.file_len() as u64;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("kscan-shared", flags).map_err(io::Error::from)?;
        let file = File::from(file);
        // No umask holds for it.
        rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR).map_err(io::Error::from)?;
        let mut writable = NewMapping::allocate(&file, bytes, threads)?;
        let magnitudes = scale_rows(&mut writable, widest, table, scaler, threads)?;
        let coded = widest.coded && code_rows(&mut writable, widest, table, scaler, simd, threads);
        let sparse = widest.sparse.filter(|_| coded);
        if let Some(Sparse { fours, .. }) = sparse {
            keep_sparse(&mut writable, widest, fours, starts, threads);
        }

        let grid = SumGrid::for_rows(shape.n, magnitudes);
        let plain =
            Layout::new(shape, coded, sparse, grid.limbs(), None).expect("smaller than the widest");
        let statistics = add_statistics(&mut writable, &plain, magnitudes, simd, threads);
        let plan = widest.index.and_then(|index| {
            let data = statistics.with_rows(rows(&writable, &plain));
            Plan::new(simd, data, threads, index)
        });
        let index_layout = plan.as_ref().map(|plan| plan.layout);
        let layout = Layout::new(shape, coded, sparse, grid.limbs(), index_layout)
            .expect("no wider than the widest");
        let header =
            plan.map(|plan| add_index(&mut writable, &layout, &plan, &statistics, simd, threads));
        layout.write_header(&mut writable[..layout.file_len()], header, threads);
        drop(writable);
        file.set_len(layout.file_len() as u64)?;
        rustix::fs::fcntl_add_seals(&file, SEALS | SealFlags::SEAL).map_err(io::Error::from)?;
        let path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
        let map = Mapping::of_sealed(&file)?.expect("it was sealed a moment ago");
        let map = SharedMap::checked(map, Some(shape)).expect("a header just written is good");
        Ok(Self { _file: file, path, map })
    }

    /// How many bytes it takes for data of this `shape` and type, at most; `None` where that is more
    /// than memory can be.
    #[must_use]
    pub fn size(shape: Shape, dtype: Dtype, index: Option<IndexLayout>) -> Option<u64> {
        let coded = may_be_coded(dtype, index);
        let widest = Layout::new(shape, coded, None, kscan_kmeans::exact_sum::MAX_LIMBS, index)?;
        Some(widest.file_len() as u64)
    }

    /// Where workers open it, while this is held.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The coordinator's own view of it.
    #[must_use]
    pub fn map(&self) -> &SharedMap {
        &self.map
    }
}

/// Whether rows of a table of this type are coded too: where they are worth an index, and are bytes.
fn may_be_coded(dtype: Dtype, index: Option<IndexLayout>) -> bool {
    dtype == Dtype::U8 && index.is_some()
}

/// A copy that is begun: removed again when this is dropped before it is finished.
struct Copy<'a> {
    file: File,
    path: &'a Path,
    is_finished: bool,
}

impl<'a> Copy<'a> {
    /// A new file at `path`, never one that is there already, with room for `bytes`.
    fn begin(path: &'a Path, bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let copy = Self { file, path, is_finished: false };
        rustix::fs::fallocate(&copy.file, FallocateFlags::empty(), 0, bytes)?;
        Ok(copy)
    }

    fn finish(mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.set_len(bytes.len() as u64)?;
        self.file.sync_all()?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            // Nothing to do where even that fails: the first error is the cause.
            let _ = std::fs::remove_file(self.path);
        }
    }
}

/// Why a file that was begun is not finished.
enum Failure {
    System(io::Error),
    NotFinite { row: usize, column: usize },
}

impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Self {
        Self::System(source)
    }
}

/// Scales all rows into their section, and tells their magnitudes; fails at the first value that
/// is then not finite.
fn scale_rows(
    file: &mut NewMapping,
    layout: &Layout,
    table: &Table,
    scaler: &Scaler,
    threads: usize,
) -> Result<Magnitudes, Failure> {
    let Shape { n, d } = layout.shape;
    let stride = Rows::stride_of(d);
    let rows: &mut [f32] = bytemuck::cast_slice_mut(layout.section_mut(file, Section::Rows));
    // Small parts, so that a row is still in the cache when its magnitudes are taken.
    let step = (1_usize << 16).div_ceil(stride);
    let part = n.div_ceil(threads.max(1));
    let parts = rows.chunks_mut(part * stride).enumerate();
    let scaled = side_by_side(parts.map(|(index, rows)| {
        move || {
            let mut start = index * part;
            let mut magnitudes = Magnitudes::NONE;
            for rows in rows.chunks_mut(step * stride) {
                let count = rows.len() / stride;
                scaler.transform(table, start..start + count, rows, stride);
                let found = Magnitudes::of(rows);
                // Before the merge, which a NaN does not survive.
                if !found.largest.is_finite() {
                    return Err(first_not_finite(rows, stride, start));
                }
                magnitudes = magnitudes.merge(found);
                start += count;
            }
            Ok(magnitudes)
        }
    }));
    // In the order of the rows, so that whatever the threads do the first failure is told.
    scaled.into_iter().try_fold(Magnitudes::NONE, |sum, part| Ok(sum.merge(part?)))
}

/// Writes codes of the scaled rows; whether they stand for them.
fn code_rows(
    file: &mut NewMapping,
    layout: &Layout,
    table: &Table,
    scaler: &Scaler,
    simd: Simd,
    threads: usize,
) -> bool {
    let Values::U8(values) = table.values() else { return false };
    let Shape { n, d } = layout.shape;
    let stride = Rows::stride_of(d);
    let columns = CodedRows::columns_of(scaler.mean(), scaler.std());
    layout.section_mut(file, Section::CodedColumns).copy_from_slice(bytemuck::cast_slice(&columns));
    let part = n.div_ceil(threads.max(1));
    let codes = layout.section_mut(file, Section::Codes);
    let parts = codes.chunks_mut(part * stride).zip(values.axis_chunks_iter(Axis(0), part));
    side_by_side(parts.map(|(codes, values)| {
        move || {
            for (codes, values) in codes.chunks_exact_mut(stride).zip(values.rows()) {
                codes.iter_mut().zip(values).for_each(|(code, &value)| *code = value);
            }
        }
    }));
    let (rows, columns) = (rows(file, layout), &columns);
    let codes = layout.section(file, Section::Codes).chunks(part * stride);
    let hold = side_by_side((0..n).step_by(part).zip(codes).map(|(start, codes)| {
        let rows = rows.slice(start..n.min(start + part));
        move || CodedRows::new(codes, columns).stand_for(simd, rows)
    }));
    hold.into_iter().all(|holds| holds)
}

/// How rows of bytes would be kept without zeros, and where they would begin, where that pays.
fn sparse_starts(table: &Table, threads: usize) -> Option<(Sparse, Vec<u32>)> {
    let Values::U8(values) = table.values() else { return None };
    let step = values.nrows().div_ceil(SAMPLE);
    let sample: Vec<Vec<u8>> =
        values.rows().into_iter().step_by(step).map(|row| row.to_vec()).collect();
    let fours = Fours::fewest(&sample, values.ncols());
    let part = values.nrows().div_ceil(threads.max(1));
    let lines = side_by_side(values.axis_chunks_iter(Axis(0), part).map(|values| {
        move || -> Vec<u32> {
            let (mut codes, mut arranged) = (Vec::new(), Vec::new());
            let rows = values.rows().into_iter();
            rows.map(|row| {
                codes.clear();
                codes.extend(&row);
                fours.arrange(&codes, &mut arranged);
                SparseRows::lines_of(&arranged)
            })
            .collect()
        }
    }));
    let starts = SparseRows::starts(&lines.concat(), values.ncols())?;
    let lines = starts.last().map_or(0, |&end| end as usize);
    Some((Sparse { lines, fours }, starts))
}

/// Writes the codes that are there once more, without zeros.
fn keep_sparse(
    file: &mut NewMapping,
    layout: &Layout,
    fours: Fours,
    starts: &[u32],
    threads: usize,
) {
    let Shape { n, d } = layout.shape;
    layout.section_mut(file, Section::SparseStarts).copy_from_slice(bytemuck::cast_slice(starts));
    let (codes, lines) = layout.split_at_sparse(file);
    let codes = codes.chunks_exact(Rows::stride_of(d)).zip(starts.windows(2));
    let mut lines: &mut [Line] = bytemuck::cast_slice_mut(lines);
    let part = n.div_ceil(threads.max(1));
    let parts: Vec<_> = (0..n)
        .step_by(part)
        .map(|start| {
            let end = n.min(start + part);
            let count = (starts[end] - starts[start]) as usize;
            let mut lines = lines.split_off_mut(..count).expect("there is room");
            let codes = codes.clone().skip(start).take(end - start);
            move || {
                let mut arranged = Vec::new();
                for (codes, ends) in codes {
                    let count = (ends[1] - ends[0]) as usize;
                    let lines = lines.split_off_mut(..count).expect("there is room");
                    fours.arrange(&codes[..d], &mut arranged);
                    SparseRows::keep(&arranged, lines);
                }
            }
        })
        .collect();
    side_by_side(parts);
}

/// Where the first value of `rows`, of which one is not finite, stands; `start` is their first.
fn first_not_finite(rows: &[f32], stride: usize, start: usize) -> Failure {
    let index = rows.iter().position(|x| !x.is_finite()).expect("one is not finite");
    Failure::NotFinite { row: start + index / stride, column: index % stride }
}

/// The rows that are there.
fn rows<'a>(file: &'a [u8], layout: &Layout) -> Rows<'a> {
    let Shape { n, d } = layout.shape;
    Rows::new(bytemuck::cast_slice(layout.section(file, Section::Rows)), n, d)
}

/// Computes the statistics of the rows that are there, and writes their sections.
fn add_statistics(
    file: &mut NewMapping,
    layout: &Layout,
    magnitudes: Magnitudes,
    simd: Simd,
    threads: usize,
) -> Statistics {
    let statistics = Statistics::compute(simd, rows(file, layout), magnitudes, threads);
    let mut write = |section, values: &[f64]| {
        layout.section_mut(file, section).copy_from_slice(bytemuck::cast_slice(values));
    };
    write(Section::Center, &statistics.center);
    write(Section::Spread, &statistics.spread);
    write(Section::SpreadCumulative, &statistics.spread_cumulative);
    write(Section::Cutters, statistics.grid.cutters());
    statistics
}

/// Makes an index of the rows that are there by `plan`, and writes its sections.
fn add_index(
    file: &mut NewMapping,
    layout: &Layout,
    plan: &Plan,
    statistics: &Statistics,
    simd: Simd,
    threads: usize,
) -> IndexHeader {
    for (section, values) in [
        (Section::Basis, bytemuck::cast_slice(&plan.basis)),
        (Section::BasisBlocks, bytemuck::cast_slice(&plan.blocks)),
        (Section::BasisUnits, bytemuck::cast_slice(&plan.units)),
    ] {
        layout.section_mut(file, section).copy_from_slice(values);
    }
    let (before, [front, deep, low]) = layout.split_at_index(file);
    let data = statistics.with_rows(rows(before, layout));
    let [front, deep, low] = [front, deep, low].map(bytemuck::cast_slice_mut);
    plan.write(simd, data, threads, RowsMut { front, deep, low });
    IndexHeader { layout: plan.layout, unit: plan.unit, defect: plan.defect }
}
