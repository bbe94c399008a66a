//! What must hold of the code before it is tested.

use crate::run::{Result, Step};
use crate::{docs, licences, setup};

/// Checks form, lints, licences, generated documents, and the documentation's commands.
pub fn run() -> Result {
    Step::cargo(&["fmt", "--all", "--check"]).run()?;
    licences::run()?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    Step::cargo(&clippy).run()?;
    setup::for_check();
    docs::run()
}
