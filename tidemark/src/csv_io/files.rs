//! One input and one output file.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use csv::ByteRecord;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use indicatif::ProgressBar;
use tempfile::NamedTempFile;

use super::CsvError;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 1 << 16;

/// An input being read; the bar counts its bytes as they lie on the disk.
pub(crate) type Source = csv::Reader<Box<dyn Read>>;

/// Opens an input whose rows may differ in length.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn open(path: &Path, bar: &ProgressBar) -> Result<Source, CsvError> {
    let failed = |source| CsvError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut raw = BufReader::with_capacity(BUFFER_BYTES, bar.wrap_read(file));
    let packed = raw.fill_buf().map_err(failed)?.starts_with(&GZIP_MAGIC);
    let plain: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
    Ok(csv::ReaderBuilder::new().flexible(true).buffer_capacity(BUFFER_BYTES).from_reader(plain))
}

/// Where a column stands in the header; names are compared without surrounding blanks and without case.
pub(crate) fn column(header: &ByteRecord, name: &str) -> Option<usize> {
    header.iter().position(|field| clean(field).eq_ignore_ascii_case(name))
}

/// As [`column()`], for one the file must have.
///
/// # Errors
/// When it is not there.
pub(crate) fn need_column(header: &ByteRecord, path: &Path, name: &'static str) -> Result<usize, CsvError> {
    column(header, name).ok_or_else(|| {
        let found = header.iter().map(|f| format!("`{}`", clean(f))).collect::<Vec<_>>().join(", ");
        CsvError::NoColumn { path: path.to_owned(), column: name, found }
    })
}

fn clean(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    text.trim_start_matches('\u{feff}').trim().to_owned()
}

enum Target {
    Plain(BufWriter<NamedTempFile>),
    Packed(GzEncoder<BufWriter<NamedTempFile>>),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(to) => to.write(bytes),
            Self::Packed(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(to) => to.flush(),
            Self::Packed(to) => to.flush(),
        }
    }
}

/// A result being written beside its final name; without [`Sink::finish`] nothing is left of it.
pub(crate) struct Sink<'a> {
    path: &'a Path,
    rows: csv::Writer<Target>,
}

impl<'a> Sink<'a> {
    /// Creates the result and the folders above it; packed when its name ends in `.gz`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn create(path: &'a Path) -> Result<Self, CsvError> {
        let failed = |source| CsvError::Write { path: path.to_owned(), source };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file = tempfile::Builder::new()
            .prefix(".tidemark-")
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(failed)?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        let target = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
            Target::Packed(GzEncoder::new(file, Compression::fast()))
        } else {
            Target::Plain(file)
        };
        Ok(Self { path, rows: csv::Writer::from_writer(target) })
    }

    /// Writes one row.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn row<I, F>(&mut self, fields: I) -> Result<(), CsvError>
    where
        I: IntoIterator<Item = F>,
        F: AsRef<[u8]>,
    {
        let path = self.path;
        self.rows
            .write_record(fields)
            .map_err(|error| CsvError::Write { path: path.to_owned(), source: std::io::Error::other(error) })
    }

    /// Puts the result under its name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn finish(self) -> Result<(), CsvError> {
        let path = self.path;
        let failed = |source| CsvError::Write { path: path.to_owned(), source };
        let target =
            self.rows.into_inner().map_err(|error| failed(std::io::Error::other(error.to_string())))?;
        let file = match target {
            Target::Plain(file) => file,
            Target::Packed(packed) => packed.finish().map_err(failed)?,
        };
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.persist(path).map(drop).map_err(|error| failed(error.error))
    }
}
