//! JSON diff, patch and merge for Syncline documents.
