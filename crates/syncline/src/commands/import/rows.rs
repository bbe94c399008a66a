//! Rows of a file: JSON lines, plain or under zstd, or one JSON document.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline_model::json::{Json, Limits};

use crate::failure::{Failure, Result};

/// Bounds a row: the largest document that any node may be set to take, and what wraps it.
const ROW_BYTES_MAX: usize = 80 << 20;
/// The window that our recorded data was packed with; zstd's own default refuses it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// One row.
pub struct Row {
    /// Its place in the file, from 1.
    pub number: u64,
    /// Its text.
    pub text: Vec<u8>,
    /// Its value.
    pub json: Json,
}

/// Reads a file row by row.
pub struct Rows {
    path: PathBuf,
    source: Source,
    number: u64,
    /// How many bytes of the file were read, for a progress bar.
    read: Arc<AtomicU64>,
    size: u64,
}

enum Source {
    /// A row each line; only `\n` ends one, since texts hold other line separators.
    Lines(Box<dyn BufRead>),
    /// The items of one array, or one document.
    Items(std::vec::IntoIter<Json>),
}

impl Rows {
    /// Opens a file by what its name ends with.
    pub fn open(path: &Path) -> Result<Rows> {
        let failed = |error: std::io::Error| Failure::file("read", path, &error);
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let read = Arc::new(AtomicU64::new(0));
        let (reader, size): (Box<dyn Read>, u64) = if name == "-" {
            (Box::new(std::io::stdin()), 0)
        } else {
            let file = File::open(path).map_err(failed)?;
            let size = file.metadata().map(|file| file.len()).unwrap_or(0);
            (
                Box::new(Counted {
                    inner: file,
                    read: read.clone(),
                }),
                size,
            )
        };
        let packed = name.ends_with(".zst") || name.ends_with(".zstd");
        let mut reader: Box<dyn BufRead> = if packed {
            let mut decoder = zstd::stream::read::Decoder::new(reader).map_err(failed)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(failed)?;
            Box::new(BufReader::with_capacity(256 << 10, decoder))
        } else {
            Box::new(BufReader::with_capacity(256 << 10, reader))
        };
        let bare = name.trim_end_matches(".zstd").trim_end_matches(".zst");
        let source = if bare.ends_with(".json") {
            Source::Items(items(path, &mut reader)?.into_iter())
        } else {
            Source::Lines(reader)
        };
        Ok(Rows {
            path: path.to_owned(),
            source,
            number: 0,
            read,
            size,
        })
    }

    /// Returns how far the file was read, from 0 to 1.
    pub fn progress(&self) -> f64 {
        let read = self.read.load(Ordering::Relaxed);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a progress bar has a hundred steps"
        )]
        let part = if self.size == 0 {
            0.0
        } else {
            read as f64 / self.size as f64
        };
        part.min(1.0)
    }

    /// Returns the next row; empty lines are passed over.
    pub fn next_row(&mut self) -> Result<Option<Row>> {
        loop {
            let Some(text) = self.next_text()? else {
                return Ok(None);
            };
            self.number += 1;
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let limits = Limits {
                bytes_max: ROW_BYTES_MAX,
                depth_max: 128,
            };
            let json = Json::parse(&text, &limits).map_err(|error| {
                let at = self.path.display();
                Failure::usage(format!("{at}: row {}: {error}", self.number))
            })?;
            return Ok(Some(Row {
                number: self.number,
                text,
                json,
            }));
        }
    }

    fn next_text(&mut self) -> Result<Option<Vec<u8>>> {
        let reader = match &mut self.source {
            Source::Items(items) => {
                return Ok(items.next().map(|json| json.to_text().into_bytes()));
            }
            Source::Lines(reader) => reader,
        };
        let mut text = Vec::new();
        let read = reader
            .by_ref()
            .take(ROW_BYTES_MAX as u64 + 1)
            .read_until(b'\n', &mut text);
        read.map_err(|error| Failure::file("read", &self.path, &error))?;
        if text.len() > ROW_BYTES_MAX {
            let at = self.path.display();
            return Err(Failure::usage(format!(
                "{at}: row {} is too long",
                self.number + 1
            )));
        }
        if text.last() == Some(&b'\n') {
            text.pop();
        } else if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(text))
    }
}

fn items(path: &Path, reader: &mut dyn BufRead) -> Result<Vec<Json>> {
    let mut text = Vec::new();
    let read = reader.take(ROW_BYTES_MAX as u64 + 1).read_to_end(&mut text);
    read.map_err(|error| Failure::file("read", path, &error))?;
    let limits = Limits {
        bytes_max: ROW_BYTES_MAX,
        depth_max: 128,
    };
    let json = Json::parse(&text, &limits)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    Ok(match json.as_array() {
        Some(items) => items.to_vec(),
        None => vec![json],
    })
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
