//! Asking the person at the terminal what to do with a conflict, by a letter and Enter.

use syncline_api::Code;
use syncline_client::{Choice, Client, Write};
use syncline_model::conflict::Conflict;

use super::{edit, view};
use crate::commands::write::show_receipt;
use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::Run;

const KEYS: &str = "\
  t  theirs: leave the head as it is
  o  ours: put what waits into the head
  e  edit: write another value in your editor (VISUAL, EDITOR)
  s  skip: let it wait
  q  quit
  ?  this help";

/// What became of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It is settled.
    Settled,
    /// It waits on.
    Skipped,
    /// So do all others.
    Quit,
}

/// Asks until the conflict is settled or left alone.
pub async fn settle(run: &Run, client: &Client, mut conflict: Conflict) -> Result<Answered> {
    loop {
        let choice = match ask(run, &conflict).await? {
            Said::Choice(choice) => choice,
            Said::Leave(answered) => return Ok(answered),
        };
        let write = Write::default();
        let sent = client.settle(&conflict.id, Some(conflict.version), &choice, &write);
        match sent.await {
            Ok(receipt) => {
                show_receipt(run, client, &conflict.context, &receipt).await?;
                return Ok(Answered::Settled);
            }
            Err(problem) if problem.code == Code::PreconditionFailed => {
                run.output.warn(problem.to_string());
                conflict = client.conflict(&conflict.id).await?;
                let around = view::Around::of(client, &conflict).await;
                view::show(run, &conflict, &around)?;
                if !conflict.is_open() {
                    return Ok(Answered::Settled);
                }
            }
            Err(problem) => return Err(problem.into()),
        }
    }
}

enum Said {
    Choice(Choice),
    Leave(Answered),
}

/// Asks until an answer is understood.
async fn ask(run: &Run, conflict: &Conflict) -> Result<Said> {
    loop {
        run.output
            .question(Line::new().styled(Style::Bold, "theirs, ours, edit, skip, ?"));
        let Some(line) = read_line().await? else {
            return Ok(Said::Leave(Answered::Quit));
        };
        match line.trim().to_lowercase().as_str() {
            "t" | "theirs" => return Ok(Said::Choice(Choice::Theirs)),
            "o" | "ours" => return Ok(Said::Choice(Choice::Ours)),
            "e" | "edit" => match edit::value(conflict).await {
                Ok(Some(value)) => return Ok(Said::Choice(Choice::Value(value))),
                Ok(None) => run.output.say("nothing was changed in the editor"),
                // What was mistyped there is no reason to end here.
                Err(failure) => run.output.fail(&failure),
            },
            "s" | "skip" | "" => return Ok(Said::Leave(Answered::Skipped)),
            "q" | "quit" => return Ok(Said::Leave(Answered::Quit)),
            _ => KEYS.lines().for_each(|line| run.output.say(line)),
        }
    }
}

/// Reads a line of stdin; none at its end.
async fn read_line() -> Result<Option<String>> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .map(|n| (n > 0).then_some(line))
    });
    // The task is not cancelled before this one is.
    let read = read.await.map_err(|_| Failure::Interrupted)?;
    read.map_err(|error| Failure::usage(format!("cannot read stdin: {error}")))
}
