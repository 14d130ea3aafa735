//! Tables as Parquet: what stands in a CSV file, with types.
//!
//! A Parquet file is made of the CSV file beside it, so that the two cannot differ. Columns are
//! optional `BYTE_ARRAY (STRING)`, `INT64` or `DOUBLE`, not compressed, in one row group.

use crate::{FileError, write_atomically};
use ::parquet::basic::{LogicalType, Repetition, Type as Physical};
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::Type;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// The columns that hold text, of all tables.
const TEXT: [&str; 5] = ["status", "stop", "digest", "log", "error"];

/// Those that hold whole numbers. All others hold f64.
const INTEGER: [&str; 10] = [
    "k",
    "init_id",
    "n_iter",
    "attempts",
    "slot",
    "peak_rss_bytes",
    "private_bytes",
    "distinct_clusters",
    "relocated",
    "silhouette_rows",
];

fn physical(column: &str) -> Physical {
    if TEXT.contains(&column) {
        Physical::BYTE_ARRAY
    } else if INTEGER.contains(&column) {
        Physical::INT64
    } else {
        Physical::DOUBLE
    }
}

/// Writes what `csv` holds as the file beside it that ends in `.parquet`. Of a table without a row
/// not even the columns are known: there is no file then.
///
/// # Errors
/// Where the one cannot be read, or the other not be written.
pub(crate) fn write_beside(csv: &Path) -> Result<(), FileError> {
    let read = || -> csv::Result<(Vec<String>, Vec<csv::StringRecord>)> {
        let mut reader = csv::Reader::from_path(csv)?;
        let columns = reader.headers()?.iter().map(ToOwned::to_owned).collect();
        Ok((columns, reader.records().collect::<csv::Result<_>>()?))
    };
    let (columns, rows) = read().map_err(|error| FileError::read(csv, io::Error::other(error)))?;
    if rows.is_empty() {
        return Ok(());
    }
    write_atomically(&csv.with_extension("parquet"), |file| {
        file.write_all(&encode(&columns, &rows).map_err(io::Error::other)?)
    })
}

/// The whole file: its writer wants to go to another thread, where files here do not.
fn encode(columns: &[String], rows: &[csv::StringRecord]) -> Result<Vec<u8>, ParquetError> {
    let fields = columns.iter().map(|name| {
        let column = Type::primitive_type_builder(name, physical(name))
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(TEXT.contains(&name.as_str()).then_some(LogicalType::String));
        column.build().map(Arc::new)
    });
    let schema =
        Type::group_type_builder("table").with_fields(fields.collect::<Result<_, _>>()?).build()?;
    let by = format!("kscan {}", env!("CARGO_PKG_VERSION"));
    let properties = WriterProperties::builder().set_created_by(by).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (index, name) in columns.iter().enumerate() {
        let cells = || rows.iter().map(|row| row.get(index).filter(|cell| !cell.is_empty()));
        match physical(name) {
            Physical::BYTE_ARRAY => {
                column::<ByteArrayType>(&mut group, cells().map(|cell| cell.map(ByteArray::from)))?;
            }
            Physical::INT64 => column::<Int64Type>(&mut group, cells().map(number))?,
            _ => column::<DoubleType>(&mut group, cells().map(number))?,
        }
    }
    group.close()?;
    writer.into_inner()
}

/// Cells are written by this crate: each holds what its column does, or nothing.
fn number<N: FromStr>(cell: Option<&str>) -> Option<N> {
    cell?.parse().ok()
}

/// Writes the next column: the values there are, and for every row whether it has one.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    cells: impl Iterator<Item = Option<T::T>>,
) -> Result<(), ParquetError> {
    let cells: Vec<Option<T::T>> = cells.collect();
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    let values: Vec<T::T> = cells.into_iter().flatten().collect();
    let Some(mut writer) = group.next_column()? else {
        return Err(ParquetError::General("there are more columns than in the schema".into()));
    };
    writer.typed::<T>().write_batch(&values, Some(&levels), None)?;
    writer.close()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Field;
    use std::fs::File;

    #[test]
    fn it_holds_what_the_csv_holds() {
        let folder = tempfile::tempdir().unwrap();
        let csv = folder.path().join("runs.csv");
        let error = "killed,\n\"so\" it seems ✗";
        let text =
            "k,status,inertia,error\n5,ok,0.1,\n12,failed,,\"killed,\n\"\"so\"\" it seems ✗\"\n";
        std::fs::write(&csv, text).unwrap();
        write_beside(&csv).unwrap();
        let file = File::open(folder.path().join("runs.parquet")).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let rows: Vec<Vec<(String, Field)>> = reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| {
                let row = row.unwrap();
                row.get_column_iter().map(|(name, field)| (name.clone(), field.clone())).collect()
            })
            .collect();
        let row = |k, status: &str, inertia, error| {
            let names = ["k", "status", "inertia", "error"].map(str::to_owned);
            let fields = [Field::Long(k), Field::Str(status.into()), inertia, error];
            names.into_iter().zip(fields).collect::<Vec<_>>()
        };
        let expected = [
            row(5, "ok", Field::Double(0.1), Field::Null),
            row(12, "failed", Field::Null, Field::Str(error.into())),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn without_rows_there_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let csv = folder.path().join("runs.csv");
        std::fs::write(&csv, "").unwrap();
        write_beside(&csv).unwrap();
        assert!(!folder.path().join("runs.parquet").exists());
    }
}
