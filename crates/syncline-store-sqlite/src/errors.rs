//! What SQLite's errors mean to a caller of the store.

use rusqlite::ErrorCode;
use syncline_model::record::RotError;
use syncline_store::StoreError;

/// A failure while reading.
pub(crate) fn reading(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => rot(error),
        Some(ErrorCode::OperationInterrupted) => {
            StoreError::Read("it took longer than a read may".to_owned())
        }
        None => rot(error),
        Some(_) => StoreError::Read(error.to_string()),
    }
}

/// A failure before COMMIT: nothing was written.
pub(crate) fn writing(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => StoreError::NotWritten(error.to_string()),
    }
}

/// Stored bytes that are not what was written.
pub(crate) fn rot(error: impl ToString) -> StoreError {
    StoreError::Rot(RotError::Decode(error.to_string()))
}
