//! P10: `status` and `/readyz` tell the truth when the disk is full, the store is damaged, or the
//! writer is stuck; and again when all is well.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use syncline_api::Code;
use syncline_client::{When, fresh_id};
use syncline_model::json::Json;

use super::{Plan, Report};
use crate::audit::{Auditor, Violations};
use crate::disk::{self, Disk};
use crate::ledger::{Heard, Ledger, Sent};
use crate::rng::Rng;
use crate::shim::{Shim, Syncs};
use crate::workload::{Sender, address, merge, object};
use crate::{Door, Node, NodeOptions};

/// How long a node may take to notice that all is well again.
const RECOVERY_MAX: Duration = Duration::from_secs(20);

/// Goes through all three troubles, `runs` times.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("p10", &plan);
    let mut found = Violations::default();
    while let Some(run) = report.next_round(&plan, &found) {
        for outcome in [
            full(&plan, &mut report, &mut found).await,
            stuck(&plan, &mut report, &mut found).await,
            damaged(&plan, run, &mut report, &mut found).await,
        ] {
            found.note(outcome);
        }
    }
    report.end(found)
}

/// What a node says of itself through all that tell.
#[derive(Debug)]
struct Word {
    healthy: bool,
    reasons: String,
    readyz: u16,
    exit: Option<i32>,
}

async fn ask(node: &Node) -> Result<Word, String> {
    let status = node
        .status()
        .await
        .map_err(|problem| format!("status: {problem}"))?;
    let shown = node
        .run(&["status"])
        .await
        .map_err(|error| error.to_string())?;
    Ok(Word {
        healthy: status.get("healthy").and_then(Json::as_bool) == Some(true),
        reasons: status.get("reasons").map(Json::to_text).unwrap_or_default(),
        readyz: node.ready_status().await,
        exit: shown.status.code(),
    })
}

fn check_well(when: &str, word: &Word, found: &mut Violations) {
    let well = word.healthy && word.readyz == 200 && word.exit == Some(0);
    found.check(well, || format!("{when}, the node says {word:?}"));
}

fn check_ill(when: &str, about: &str, word: &Word, found: &mut Violations) {
    let ill = !word.healthy && word.readyz == 503 && word.exit == Some(1);
    found.check(ill && word.reasons.contains(about), || {
        format!("{when}, the node says {word:?}")
    });
}

/// Waits until the node says that it is well.
async fn recovered(node: &Node) -> Result<Duration, Word> {
    let begun = Instant::now();
    loop {
        match ask(node).await {
            Ok(word) if word.healthy => return Ok(begun.elapsed()),
            Ok(word) if begun.elapsed() > RECOVERY_MAX => return Err(word),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

// ---------------------------------------------------------------------- the disk is full

async fn full(plan: &Plan, report: &mut Report, found: &mut Violations) -> Result<(), String> {
    if let Some(why) = disk::why_not() {
        report.fact("full disk", format!("not possible here: {why}"));
        return Ok(());
    }
    let disk = Disk::in_memory(12 * 1024)?;
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![7u8; 4 << 20]).map_err(|error| error.to_string())?;
    let dir = Some(disk.path().join("data"));
    let options = NodeOptions {
        dir,
        ..NodeOptions::faulty(plan.fault)
    };
    let mut node = Node::start(options)
        .await
        .map_err(|error| error.to_string())?;
    let sender = Sender::open(node.access(), Door::Http)
        .await
        .map_err(|p| p.to_string())?;
    let mut ledger = Ledger::default();
    let mut rng = Rng::new(plan.seed);
    check_well("with room on the disk", &ask(&node).await?, found);
    let mut refused = None;
    for n in 0..2_000u64 {
        let text = Json::from(rng.letters(16_000));
        let context = address(&format!("note/full-{}", n % 50));
        let proposal = merge(
            fresh_id(),
            &context,
            object([("data", object([("text", text)]))]),
        );
        let heard = sender.send(&proposal).await;
        let full = matches!(&heard, Heard::Undecided(problem) if problem.code == Code::DiskFull);
        let kept = matches!(heard, Heard::Receipt(_));
        let shown = format!("{heard:?}");
        ledger.add(Sent {
            proposal: proposal.clone(),
            door: Door::Http,
            bulk: None,
            heard,
            run: n,
        });
        if full {
            refused = Some(proposal);
            break;
        }
        found.check(kept, || {
            format!("while the disk filled, a write heard {shown}")
        });
        if !found.is_empty() {
            return Ok(());
        }
    }
    let Some(refused) = refused else {
        return Err("the disk does not get full".to_owned());
    };
    report.fact("writes until the disk was full", ledger.acknowledged());
    check_ill("with a full disk", "full", &ask(&node).await?, found);
    let head = node.http().get(&address("note/full-0"), &When::Head).await;
    found.check(head.is_ok(), || {
        format!("with a full disk, a read hears {head:?}")
    });
    check_log(&node, &ledger, found).await;
    std::fs::remove_file(&ballast).map_err(|error| error.to_string())?;
    match recovered(&node).await {
        Ok(after) => report.fact("room noticed after", format!("{after:.1?}")),
        Err(word) => found.add(format!("with room again, the node says {word:?}")),
    }
    let heard = sender.send(&refused).await;
    found.check(matches!(heard, Heard::Receipt(_)), || {
        format!("with room again, the write that was refused hears {heard:?}")
    });
    if let Some(sent) = ledger.get_mut(&refused.id) {
        sent.heard = heard;
    }
    check_well("with room again", &ask(&node).await?, found);
    check_log(&node, &ledger, found).await;
    node.stop().await;
    node.restart().await.map_err(|error| error.to_string())?;
    check_log(&node, &ledger, found).await;
    node.kill().await;
    Ok(())
}

async fn check_log(node: &Node, ledger: &Ledger, found: &mut Violations) {
    let mut auditor = Auditor::default();
    auditor.follow(&node.http(), ledger, found).await;
    auditor.check_ledger(ledger.iter(), found);
}

// ---------------------------------------------------------------------- the writer is stuck

async fn stuck(plan: &Plan, report: &mut Report, found: &mut Violations) -> Result<(), String> {
    let shim = match Shim::new() {
        Ok(shim) => shim,
        Err(why) => {
            report.fact("stuck writer", format!("not possible here: {why}"));
            return Ok(());
        }
    };
    let options = NodeOptions {
        env: shim.env(),
        ..NodeOptions::faulty(plan.fault)
    };
    let node = Node::start(options)
        .await
        .map_err(|error| error.to_string())?;
    let sender = Sender::open(node.access(), Door::Http)
        .await
        .map_err(|p| p.to_string())?;
    let context = address("note/stuck");
    let write = |n: u64| {
        merge(
            fresh_id(),
            &context,
            object([("data", object([("n", n.into())]))]),
        )
    };
    let first = sender.send(&write(1)).await;
    found.check(matches!(first, Heard::Receipt(_)), || {
        format!("a write heard {first:?}")
    });
    check_well("with a quick disk", &ask(&node).await?, found);
    shim.set(Syncs::Delay(12_000));
    let late = write(2);
    let waiting = sender.send(&late);
    let watching = async {
        tokio::time::sleep(Duration::from_millis(6_500)).await;
        shim.set(Syncs::Pass);
        let word = ask(&node).await?;
        let head = node.http().get(&context, &When::Head).await;
        Ok::<_, String>((word, head))
    };
    let (heard, watched) = tokio::join!(waiting, watching);
    let (word, head) = watched?;
    check_ill("with a commit that takes 12 s", "commit", &word, found);
    let old = head.as_ref().is_ok_and(|head| head.version.0 == 1);
    found.check(old, || {
        format!("while a commit is stuck, a read hears {head:?}")
    });
    found.check(matches!(heard, Heard::Receipt(_)), || {
        format!("the slow write heard {heard:?}")
    });
    match recovered(&node).await {
        Ok(after) => report.fact("stuck writer over after", format!("{after:.1?}")),
        Err(word) => found.add(format!("after the slow commit, the node says {word:?}")),
    }
    check_well("after the slow commit", &ask(&node).await?, found);
    Ok(())
}

// ---------------------------------------------------------------------- the store is damaged

async fn damaged(
    plan: &Plan,
    run: u64,
    report: &mut Report,
    found: &mut Violations,
) -> Result<(), String> {
    let mut node = Node::start(NodeOptions::faulty(plan.fault))
        .await
        .map_err(|error| error.to_string())?;
    let sender = Sender::open(node.access(), Door::Http)
        .await
        .map_err(|p| p.to_string())?;
    let mark = "a word that is nowhere else ";
    let context = address("note/rot");
    for n in 0..40u64 {
        let text = Json::from(format!("{mark}{n:03} {}", Rng::new(n).letters(3_000)));
        let body = object([("data", object([("text", text)]))]);
        let heard = sender.send(&merge(fresh_id(), &context, body)).await;
        found.check(matches!(heard, Heard::Receipt(_)), || {
            format!("a write heard {heard:?}")
        });
    }
    node.stop().await;
    let sound = node
        .run(&["verify"])
        .await
        .map_err(|error| error.to_string())?;
    found.check(sound.status.code() == Some(0), || {
        format!("verify of a sound store: {sound:?}")
    });
    let Some(file) = find_file(node.dir(), mark) else {
        report.fact(
            "rot",
            "the bodies are packed: flipping bits in the middle instead",
        );
        return rot_anywhere(node, run, report, found).await;
    };
    // One bit of one old body: SQLite does not notice, the hashes must.
    let (path, at) = file;
    flip(&path, at + mark.len() / 2)?;
    let rotten = node
        .run(&["verify"])
        .await
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&rotten.stdout).into_owned()
        + &String::from_utf8_lossy(&rotten.stderr);
    found.check(rotten.status.code() == Some(1), || {
        format!("verify of a rotten store: {rotten:?}")
    });
    report.fact(
        "verify names the rot",
        said.lines().next().unwrap_or_default(),
    );
    read_all_versions(&mut node, report, found).await
}

async fn rot_anywhere(
    mut node: Node,
    run: u64,
    report: &mut Report,
    found: &mut Violations,
) -> Result<(), String> {
    let path = node.dir().join("syncline.db");
    let length = path.metadata().map_err(|error| error.to_string())?.len();
    let mut rng = Rng::new(run);
    // In the last third lie the records; a flip in free space changes nothing, so several.
    for _ in 0..40 {
        let at = rng.between(length / 2, length - 1);
        flip(
            &path,
            usize::try_from(at).map_err(|error| error.to_string())?,
        )?;
    }
    let rotten = node
        .run(&["verify"])
        .await
        .map_err(|error| error.to_string())?;
    found.check(rotten.status.code() != Some(0), || {
        format!("verify of a rotten store: {rotten:?}")
    });
    report.fact(
        "verify of 40 flipped bits ends with",
        format!("{:?}", rotten.status.code()),
    );
    read_all_versions(&mut node, report, found).await
}

/// Serves what is sound and refuses what is rotten; or does not start, and touches nothing.
async fn read_all_versions(
    node: &mut Node,
    report: &mut Report,
    found: &mut Violations,
) -> Result<(), String> {
    let before = bytes_of(&node.dir().join("syncline.db"))?;
    if let Err(error) = node.restart().await {
        report.fact("a damaged store", "is not opened, and the node says so");
        found.check(error.exit.is_some_and(|code| code != 0), || {
            format!("{error}")
        });
        found.check(error.log.contains("damaged"), || {
            format!("it does not say why: {}", error.log)
        });
        let after = bytes_of(&node.dir().join("syncline.db"))?;
        found.check(before == after, || "a damaged store was touched".to_owned());
        return Ok(());
    }
    let client = node.http();
    let (mut served, mut refused) = (0u64, 0u64);
    for version in 1..=40u64 {
        let when = When::Version(syncline_model::ids::Version(version));
        match client.get(&address("note/rot"), &when).await {
            Ok(view) => {
                served += 1;
                let text = view
                    .document
                    .object()
                    .get("data")
                    .and_then(|data| data.get("text"));
                let letters = Rng::new(version - 1).letters(3_000);
                let right = text
                    .and_then(Json::as_str)
                    .is_some_and(|t| t.ends_with(&letters));
                found.check(right, || format!("version {version} was served changed"));
            }
            Err(problem) if problem.code == Code::Rot => refused += 1,
            Err(problem) => found.add(format!("version {version}: {problem}")),
        }
    }
    found.check(refused > 0, || {
        "nothing of the rot was noticed by reading".to_owned()
    });
    report.fact("versions served, all sound", served);
    report.fact("versions refused as rotten", refused);
    check_ill(
        "with a store that was found rotten",
        "damaged",
        &ask(node).await?,
        found,
    );
    Ok(())
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| error.to_string())
}

/// Finds the first file of a folder that holds a text, and where.
fn find_file(folder: &Path, text: &str) -> Option<(PathBuf, usize)> {
    let files = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    files.filter(|path| path.is_file()).find_map(|path| {
        let bytes = std::fs::read(&path).ok()?;
        let at = bytes
            .windows(text.len())
            .position(|window| window == text.as_bytes())?;
        Some((path, at))
    })
}

fn flip(path: &Path, at: usize) -> Result<(), String> {
    let mut bytes = bytes_of(path)?;
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    std::fs::write(path, bytes).map_err(|error| error.to_string())
}
