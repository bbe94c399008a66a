//! The second reading: what the log and the heads say, against what agents and watcher heard.

use std::collections::{BTreeMap, HashMap, HashSet};

use syncline_api::{Problem, WireChange};
use syncline_client::{ChangesQuery, Client, When};
use syncline_model::change::ChangeType;
use syncline_model::ids::{Address, ChangeId, PrincipalId};
use syncline_model::json::{Json, Object};

use super::report::{Door, Report};
use crate::failure::Result;
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// What the agents told.
#[derive(Default)]
pub struct Told {
    /// When each acknowledged change was sent, and acknowledged.
    pub acknowledged: HashMap<ChangeId, (u64, u64)>,
    /// Writes by door.
    pub websocket: u64,
    /// Writes by door.
    pub http: u64,
    /// Heads that had moved.
    pub clashes: u64,
    /// Writes that the head already said.
    pub unchanged: u64,
    /// Why writes were refused for good.
    pub refused: Vec<String>,
    /// Agents that did not end well.
    pub failed: Vec<String>,
}

impl Told {
    /// Takes down a report.
    pub fn hear(&mut self, report: Report) {
        match report {
            Report::Acknowledged {
                unchanged: true, ..
            } => self.unchanged += 1,
            Report::Acknowledged {
                id,
                door,
                sent_us,
                acked_us,
                ..
            } => {
                match door {
                    Door::WebSocket => self.websocket += 1,
                    Door::Http => self.http += 1,
                }
                self.acknowledged.insert(id, (sent_us, acked_us));
            }
            Report::Clash { .. } => self.clashes += 1,
            Report::Refused { why } => self.refused.push(why),
        }
    }
}

/// What the watcher heard: when each change came, and what was wrong with how.
#[derive(Default)]
pub struct Delivered {
    /// When each change came.
    pub at_us: HashMap<ChangeId, u64>,
    /// Changes that came twice or out of order, and holes.
    pub faults: Vec<String>,
    last_seq: u64,
}

impl Delivered {
    /// Takes down a change.
    pub fn hear(&mut self, change: &WireChange, now_us: u64) {
        if self.at_us.insert(change.id, now_us).is_some() {
            self.faults.push(format!("change {} came twice", change.id));
        }
        let seq = change.seq.map_or(0, |seq| seq.0);
        if seq <= self.last_seq {
            self.faults
                .push(format!("change {} came out of order", change.id));
        }
        self.last_seq = seq;
    }
}

/// What the log holds, read again.
pub struct Stored {
    changes: HashSet<ChangeId>,
    contexts: usize,
    faults: Vec<String>,
}

/// Reads the log from its beginning and every head, and compares the two.
pub async fn read_again(client: &Client) -> Result<Stored, Problem> {
    let mut stored = Stored {
        changes: HashSet::new(),
        contexts: 0,
        faults: Vec::new(),
    };
    let mut newest: BTreeMap<Address, WireChange> = BTreeMap::new();
    let mut after = None;
    let mut seq = 0;
    loop {
        let query = ChangesQuery {
            after: after.clone(),
            limit: Some(500),
            ..Default::default()
        };
        let page = client.changes(&query).await?;
        let changes = page.changes()?;
        if changes.is_empty() {
            break;
        }
        for change in changes {
            let at = change.seq.map_or(0, |seq| seq.0);
            if at != seq + 1 {
                stored.faults.push(format!("seq {at} follows {seq}"));
            }
            seq = at;
            // What the node made by itself, nobody sent.
            if change.actor.id != PrincipalId::system() {
                stored.changes.insert(change.id);
            }
            let before = newest
                .get(&change.context)
                .map_or(0, |before| before.version.0);
            if change.version.0 != before + 1 {
                let fault = format!("{} v{} follows v{before}", change.context, change.version);
                stored.faults.push(fault);
            }
            newest.insert(change.context.clone(), change);
        }
        after = page.cursor;
    }
    stored.contexts = newest.len();
    for (address, change) in newest {
        if let Some(fault) = head_differs(client, &address, &change).await? {
            stored.faults.push(fault);
        }
    }
    Ok(stored)
}

async fn head_differs(
    client: &Client,
    address: &Address,
    change: &WireChange,
) -> Result<Option<String>, Problem> {
    let head = match client.get(address, &When::Head).await {
        Ok(head) => head,
        Err(_) if change.kind == ChangeType::Delete => return Ok(None),
        Err(problem) => return Err(problem),
    };
    let hash = head.document.hash();
    let same = head.version == change.version
        && Some(hash) == head.hash
        && change.hash.is_none_or(|of_change| of_change == hash);
    Ok((!same).then(|| format!("{address}: the head is not what the log made of it")))
}

/// All three, side by side.
pub struct Summary {
    pub told: Told,
    pub stored: Stored,
    pub delivered: Delivered,
    pub agents: usize,
}

impl Summary {
    /// Returns what does not add up.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        faults.extend(self.told.failed.iter().cloned());
        faults.extend(
            self.told
                .refused
                .iter()
                .map(|why| format!("refused: {why}")),
        );
        faults.extend(self.stored.faults.iter().cloned());
        faults.extend(self.delivered.faults.iter().cloned());
        let count = |what: &str, count: usize| (count > 0).then(|| format!("{count} {what}"));
        let acknowledged = &self.told.acknowledged;
        let lost = acknowledged
            .keys()
            .filter(|id| !self.stored.changes.contains(id))
            .count();
        let unknown = self
            .stored
            .changes
            .iter()
            .filter(|id| !acknowledged.contains_key(id))
            .count();
        let unheard = self
            .stored
            .changes
            .iter()
            .filter(|id| !self.delivered.at_us.contains_key(id))
            .count();
        let invented = self
            .delivered
            .at_us
            .keys()
            .filter(|id| !self.stored.changes.contains(id))
            .count();
        faults.extend(count("acknowledged and not stored", lost));
        faults.extend(count("stored and never acknowledged", unknown));
        faults.extend(count("stored and not delivered", unheard));
        faults.extend(count("delivered and not stored", invented));
        if acknowledged.is_empty() {
            faults.push("nothing was written".to_owned());
        }
        faults
    }

    /// Shows the summary, and says whether it adds up.
    pub fn show(&self, run: &Run) -> Result<bool> {
        let faults = self.faults();
        let to_ack = self
            .told
            .acknowledged
            .values()
            .map(|(sent, acked)| acked.saturating_sub(*sent));
        let to_ack = Latency::of(to_ack.collect());
        let arrived = |(id, (sent, _)): (&ChangeId, &(u64, u64))| {
            self.delivered
                .at_us
                .get(id)
                .map(|at| at.saturating_sub(*sent))
        };
        let to_watcher = Latency::of(self.told.acknowledged.iter().filter_map(arrived).collect());
        if run.output.is_json() {
            run.output
                .row(&self.to_json(&faults, &to_ack, &to_watcher))?;
            return Ok(faults.is_empty());
        }
        let told = &self.told;
        let acknowledged = told.acknowledged.len() as u64;
        let rows = [
            (
                "acknowledged",
                acknowledged,
                format!(
                    "by {} in processes of their own: {} over WebSocket, {} over HTTP; {}",
                    show::count(self.agents as u64, "agent"),
                    told.websocket,
                    told.http,
                    show::count(told.clashes, "clash").replace("clashs", "clashes")
                        + " read again and retried",
                ),
            ),
            (
                "stored",
                self.stored.changes.len() as u64,
                format!(
                    "in {}: the log read again over HTTP from its first record, and each head checked by hash",
                    show::count(self.stored.contexts as u64, "context")
                ),
            ),
            (
                "delivered",
                self.delivered.at_us.len() as u64,
                "to the watcher, each once, in order".to_owned(),
            ),
        ];
        run.output.line("")?;
        for (name, count, what) in rows {
            let number = show::number(count);
            let line = Line::new()
                .cell(Style::Bold, name, 15)
                .cell(Style::Plain, number, 7);
            run.output.line(line.styled(Style::Dim, what))?;
        }
        for (name, latency) in [("to the receipt", &to_ack), ("to the watcher", &to_watcher)] {
            run.output.line(
                Line::new()
                    .cell(Style::Bold, name, 15)
                    .text(latency.to_string()),
            )?;
        }
        for fault in faults.iter().take(20) {
            run.output
                .line(Line::new().styled(Style::Red, "× ").text(fault))?;
        }
        let (mark, style, word) = match faults.is_empty() {
            true => ("✅ ", Style::Green, "acknowledged = stored = delivered"),
            false => ("🔴 ", Style::Red, "it does not add up"),
        };
        run.output
            .line(Line::new().text(mark).styled(style, word))?;
        Ok(faults.is_empty())
    }

    fn to_json(&self, faults: &[String], to_ack: &Latency, to_watcher: &Latency) -> Json {
        let members = [
            ("acknowledged", Json::from(self.told.acknowledged.len())),
            ("stored", Json::from(self.stored.changes.len())),
            ("delivered", Json::from(self.delivered.at_us.len())),
            ("agents", Json::from(self.agents)),
            ("contexts", Json::from(self.stored.contexts)),
            ("websocket", Json::from(self.told.websocket)),
            ("http", Json::from(self.told.http)),
            ("clashes", Json::from(self.told.clashes)),
            ("unchanged", Json::from(self.told.unchanged)),
            ("to_receipt_us", to_ack.to_json()),
            ("to_watcher_us", to_watcher.to_json()),
            (
                "faults",
                faults
                    .iter()
                    .map(|fault| Json::from(fault.as_str()))
                    .collect(),
            ),
            ("equal", Json::from(faults.is_empty())),
        ];
        Json::Object(members.into_iter().collect::<Object>())
    }
}

/// Times from a write's sending, in microseconds.
struct Latency {
    sorted_us: Vec<u64>,
}

impl Latency {
    fn of(mut times_us: Vec<u64>) -> Latency {
        times_us.sort_unstable();
        Latency {
            sorted_us: times_us,
        }
    }

    fn percentile(&self, percent: usize) -> u64 {
        let last = self.sorted_us.len().saturating_sub(1);
        self.sorted_us
            .get(last * percent / 100)
            .copied()
            .unwrap_or(0)
    }

    fn to_json(&self) -> Json {
        let members = [("p50", 50), ("p99", 99), ("max", 100)];
        let members = members.map(|(name, percent)| (name, Json::from(self.percentile(percent))));
        Json::Object(members.into_iter().collect::<Object>())
    }
}

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |us: u64| format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10);
        let [p50, p99, max] = [50, 99, 100].map(|percent| ms(self.percentile(percent)));
        write!(f, "p50 {p50}   p99 {p99}   max {max}")
    }
}
