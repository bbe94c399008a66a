//! What is kept beside the log: small state that moves fast and means nothing later, such as
//! acknowledged places and attempts. It is no part of history, and replicates to nobody.

use std::sync::Arc;

use crate::error::StoreError;

/// Bounds one value.
pub const KEPT_VALUE_BYTES_MAX: usize = 64 << 10;
/// Bounds the name of a space and a key, each.
pub const KEPT_NAME_BYTES_MAX: usize = 512;
/// Bounds the values of one call.
pub const KEPT_AT_ONCE_MAX: usize = 4_096;
/// Bounds a page that is read back, in bytes of values; one value always fits.
pub const KEPT_PAGE_BYTES_MAX: usize = 4 << 20;

/// One value that is to be kept or forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whose it is: each part of a node has spaces of its own.
    pub space: String,
    /// Its name there; spaces are read in the order of these, by their bytes.
    pub key: String,
    /// What is kept; `None` forgets it.
    pub value: Option<Arc<[u8]>>,
}

impl Kept {
    /// Keeps a value.
    pub fn put(space: &str, key: impl Into<String>, value: impl Into<Arc<[u8]>>) -> Kept {
        Kept {
            space: space.to_owned(),
            key: key.into(),
            value: Some(value.into()),
        }
    }

    /// Forgets a value.
    pub fn forget(space: &str, key: impl Into<String>) -> Kept {
        Kept {
            space: space.to_owned(),
            key: key.into(),
            value: None,
        }
    }

    /// Returns about how many bytes this writes.
    pub fn weight(&self) -> usize {
        let value = self.value.as_ref().map_or(0, |value| value.len());
        value + self.space.len() + self.key.len() + 40
    }
}

/// Which kept values are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptQuery {
    /// Whose.
    pub space: String,
    /// Those whose keys begin so.
    pub prefix: String,
    /// Those whose keys come after this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// A value that was read back, with its key.
pub type KeptValue = (String, Arc<[u8]>);

/// Checks the limits of what is to be kept.
pub fn check_kept(values: &[Kept]) -> Result<(), StoreError> {
    let refused = |why: String| Err(StoreError::NotWritten(why));
    if values.len() > KEPT_AT_ONCE_MAX {
        let count = values.len();
        return refused(format!(
            "{count} values at once are more than {KEPT_AT_ONCE_MAX}"
        ));
    }
    for kept in values {
        let name = format!("{}/{}", kept.space, kept.key);
        if kept.space.len() > KEPT_NAME_BYTES_MAX || kept.key.len() > KEPT_NAME_BYTES_MAX {
            return refused(format!("the name of a kept value has {} bytes", name.len()));
        }
        match kept.value.as_ref().map_or(0, |value| value.len()) {
            bytes if bytes > KEPT_VALUE_BYTES_MAX => {
                return refused(format!("the kept value {name} has {bytes} bytes"));
            }
            _ => {}
        }
    }
    Ok(())
}
