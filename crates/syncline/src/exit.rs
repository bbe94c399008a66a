//! Exit codes. Scripts depend on them; they are documented here and nowhere else.

/// Yes: done, sound, the same.
pub const YES: u8 = 0;
/// No: `diff` found differences, `status` or `verify` found the node unwell, a branch would clash
/// in a dry run, a write left a conflict under `--strict`.
pub const NO: u8 = 1;
/// The command was not understood, or what it was given cannot be read.
pub const USAGE: u8 = 2;
/// The node refused: not found, not allowed, stale, wrong, too large.
pub const REFUSED: u8 = 3;
/// No key, or one that the node does not know.
pub const KEY: u8 = 4;
/// The node cannot be reached, or the outcome is unknown: send the same change id again.
pub const UNDECIDED: u8 = 5;
/// A bug of ours, or rot on disk.
pub const BUG: u8 = 70;
/// Interrupted by the user (Ctrl-C).
pub const INTERRUPTED: u8 = 130;

/// What help shows about the codes.
pub const HELP: &str = "\
Exit codes:
  0    yes: done, sound, the same
  1    no: diff found differences; status or verify found the node unwell; demo did not add up;
       merge --dry-run found clashes; with --strict a write left a conflict
  2    the command, or what it was given, was not understood
  3    the node refused: not found, not allowed, stale, wrong, too large
  4    no key, or one that the node does not know (set SYNCLINE_KEY)
  5    the node cannot be reached, or the outcome is unknown: send the same change id again
  70   a bug of ours, or damage on disk
  130  interrupted";
