//! The file as its readers see it.

use crate::SharedError;
use crate::layout::{HeaderError, IndexHeader, Layout, Section, Shape, Sparse};
use crate::mapping::Mapping;
use kscan_kmeans::exact_sum::SumGrid;
use kscan_kmeans::index::IndexView;
use kscan_kmeans::{CodedRows, Data, Rows, SparseRows};
use std::fs::File;
use std::path::Path;

/// The shared file, mapped read-only.
#[derive(Debug)]
pub struct SharedMap {
    map: Mapping,
    layout: Layout,
    grid: SumGrid,
    index: Option<IndexHeader>,
}

impl SharedMap {
    /// Opens the file at `path`, maps it and checks its header, but not the checksum of its data:
    /// the file is sealed, and reading all of it would cost more than many a run.
    ///
    /// # Errors
    /// Where it cannot be opened, could be changed, or its header is not that of a shared file with this shape.
    pub fn open(path: &Path, shape: Shape) -> Result<Self, SharedError> {
        let open = |source| SharedError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open)?;
        let map = Mapping::of_sealed(&file)
            .map_err(open)?
            .ok_or_else(|| SharedError::NotSealed { path: path.to_owned() })?;
        Self::checked(map, Some(shape))
            .map_err(|source| SharedError::Header { path: path.to_owned(), source })
    }

    /// Of a file that was just written.
    pub(crate) fn checked(map: Mapping, expected: Option<Shape>) -> Result<Self, HeaderError> {
        let (layout, index) = Layout::read(&map)?;
        if let Some(expected) = expected
            && expected != layout.shape
        {
            return Err(HeaderError::Shape { found: layout.shape, expected });
        }
        let cutters = bytemuck::cast_slice(layout.section(&map, Section::Cutters));
        let grid = SumGrid::from_cutters(cutters).ok_or(HeaderError::Sections)?;
        Ok(Self { map, layout, grid, index })
    }

    /// The rows and their statistics, in place.
    #[must_use]
    pub fn data(&self) -> Data<'_> {
        let Shape { n, d } = self.layout.shape;
        let section = |section| self.layout.section(&self.map, section);
        let coded = self.layout.coded.then(|| {
            let columns = bytemuck::cast_slice(section(Section::CodedColumns));
            CodedRows::new(section(Section::Codes), columns)
        });
        Data {
            coded,
            rows: Rows::new(bytemuck::cast_slice(section(Section::Rows)), n, d),
            grid: self.grid,
            center: bytemuck::cast_slice(section(Section::Center)),
            spread: bytemuck::cast_slice(section(Section::Spread)),
            spread_cumulative: bytemuck::cast_slice(section(Section::SpreadCumulative)),
        }
    }

    /// The index of the rows, in place, where there is one.
    #[must_use]
    pub fn index(&self) -> Option<IndexView<'_>> {
        let IndexHeader { layout, unit, defect } = self.index?;
        let section = |section| self.layout.section(&self.map, section);
        let sparse = self.layout.sparse.map(|Sparse { fours, .. }| {
            let [starts, lines] = [Section::SparseStarts, Section::Sparse].map(section);
            SparseRows::new(fours, bytemuck::cast_slice(starts), bytemuck::cast_slice(lines))
        });
        Some(IndexView {
            sparse,
            layout,
            unit,
            defect,
            basis: bytemuck::cast_slice(section(Section::Basis)),
            blocks: bytemuck::cast_slice(section(Section::BasisBlocks)),
            units: bytemuck::cast_slice(section(Section::BasisUnits)),
            front: bytemuck::cast_slice(section(Section::Front)),
            deep: bytemuck::cast_slice(section(Section::Deep)),
            low: bytemuck::cast_slice(section(Section::Low)),
        })
    }

    /// All of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Reads everything against the checksum of the data.
    ///
    /// # Errors
    /// Where it does not hold.
    pub fn verify(&self) -> Result<(), HeaderError> {
        Layout::verify_data(&self.map)
    }
}
